//! What is kept for emergencies, on a file system that is full in earnest. Only root may mount one: others see nothing here.

use super::*;
use crate::recording::disk::DiskLow;
use crate::recording::reserve_found;

const MIB: u64 = 1 << 20;

/// A small file system of its own, in memory. It goes when the test does.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, mib: u64) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={mib}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|done| done.status.success()).then(|| Self(at.to_owned()))
    }

    fn free(&self) -> u64 {
        let space = rustix::fs::statvfs(&self.0).unwrap();
        space.f_bavail * space.f_frsize
    }

    /// Leaves this much free, and no more.
    fn fill(&self, leave: u64) {
        let ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        let length = self.free() - leave;
        rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, length).unwrap();
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// 128 MiB, of which 24 are kept for emergencies; no session starts below 20.
async fn desk() -> Option<(Desk, SmallDisk)> {
    let mut desk = Desk::new().await;
    let disk = SmallDisk::mount(&desk.config.dir, 128)?;
    (desk.config.reserve, desk.config.critical_below, desk.config.low_below) = (24 * MIB, 20 * MIB, 30 * MIB);
    Some((desk, disk))
}

impl Desk {
    async fn emergency(&self, recordings: &Recordings, number: u8) -> Result<RecordingHandle, RecordError> {
        self.enter(number).await;
        recordings.start_in_emergency(header(&session(number))).await
    }

    fn kept(&self) -> u64 {
        reserve_found(&self.config.dir, "gate-1").unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_is_recorded_on_a_full_disk_and_nothing_else_is() {
    let Some((desk, disk)) = desk().await else { return };
    let recordings = desk.open();
    assert_eq!(desk.kept(), 24 * MIB);
    let ordinary = desk.start(&recordings, 1).await;
    ordinary.append(T1, Kind::Input, b"before").unwrap();

    disk.fill(8192);
    assert!(matches!(recordings.may_start(), Err(DiskLow::Critical { .. })));
    ordinary.append(T1, Kind::Input, b"still").unwrap();
    let emergency = desk.emergency(&recordings, 2).await.unwrap();
    assert!(desk.kept() < 24 * MIB);
    assert_eq!(recordings.may_start(), Err(DiskLow::Kept));
    assert!(desk.try_start(&recordings, 3).await.is_err());
    assert!(ordinary.append(T1, Kind::Input, b"of what is kept").is_err());

    // Incompressible, and more than was given back at first.
    let noise: Vec<u8> = (0..MIB).map(|_| rand::random()).collect();
    for _ in 0..22 {
        emergency.append(T1, Kind::Output, &noise).unwrap();
    }
    assert_eq!(desk.kept(), 0);
    // Even that ends: then it fails as every recording does on a full disk, and what it has verifies.
    let failed = (0..20).find_map(|_| emergency.append(T1, Kind::Output, &noise).err());
    assert!(failed.is_some());
    let path = desk.path(&desk.catalogued(2).await);
    assert!(desk.read(&path).iter().map(|entry| entry.body.len() as u64).sum::<u64>() >= 22 * MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_is_closed_and_whole_again_when_there_is_room() {
    let Some((desk, disk)) = desk().await else { return };
    let recordings = desk.open();
    disk.fill(8192);
    let emergency = desk.emergency(&recordings, 1).await.unwrap();
    emergency.append(T1, Kind::Input, b"help").unwrap();
    recordings.watch_disk().await;
    assert_eq!(desk.codes().await.iter().filter(|code| *code == "SP-6008").count(), 1);
    assert_eq!(recordings.may_start(), Err(DiskLow::Kept));
    disk.empty();
    recordings.watch_disk().await;
    assert_eq!(desk.kept(), 24 * MIB);
    desk.start(&recordings, 3).await.append(T1, Kind::Input, b"x").unwrap();
    assert_eq!(desk.codes().await.iter().filter(|code| *code == "SP-6008").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_takes_no_more_than_the_disk_has_to_give() {
    let Some((mut desk, disk)) = desk().await else { return };
    disk.fill(40 * MIB);
    drop(desk.open());
    assert!((9 * MIB..=10 * MIB).contains(&desk.kept()), "{}: it stays above the mark `low_below`", desk.kept());
    disk.empty();
    drop(desk.open());
    assert_eq!(desk.kept(), 24 * MIB);
    desk.config.reserve = MIB;
    drop(desk.open());
    assert_eq!(desk.kept(), MIB);
    // A copy of it that has holes keeps nothing.
    let file = desk.config.dir.join(".gate-1.reserve");
    std::fs::File::create(&file).unwrap().set_len(MIB).unwrap();
    assert_eq!(desk.kept(), 0);
    drop(desk.open());
    assert_eq!(desk.kept(), MIB);
    desk.config.reserve = 0;
    drop(desk.open());
    assert!(!file.exists());
}
