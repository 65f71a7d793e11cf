//! The plant file of the demo.

use sallyport_policy::PlantFile;
use sallyport_simulated_plant::TAGS;

use super::service::Service;

/// The plant of these services, and the tag list of plc-1 beside it.
pub(super) fn files(services: &[Service], host_key: &str) -> Vec<PlantFile> {
    let mut text = PLANT.replace("@HOST_KEY@", host_key);
    for service in services {
        text = text
            .replace(&format!("@ADDRESS of {}@", service.asset), &service.address.to_string())
            .replace(&format!("@PORT of {}@", service.asset), &service.port.to_string());
    }
    vec![
        PlantFile { name: PLANT_FILE.to_owned(), text },
        PlantFile { name: TAG_FILE.to_owned(), text: TAGS.to_owned() },
    ]
}

pub(super) const PLANT_FILE: &str = "plant.toml";
/// Named by the plant file.
const TAG_FILE: &str = "plc-1.csv";
const PLANT: &str = include_str!("plant.toml");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use sallyport_policy::Policy;
    use sallyport_simulated_plant::Places;
    use ssh_key::PrivateKey;
    use ssh_key::private::Ed25519Keypair;

    use super::*;

    #[test]
    fn the_plant_of_the_demo_holds() {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32])).public_key().to_openssh().unwrap();
        let place = |last: u8| ([127, 0, 0, last], 4000 + u16::from(last)).into();
        let services = Service::all(Places { workstation: place(1), controller: place(2), panel: place(3) });
        let files = files(&services, &key);
        assert!(!files[0].text.contains('@'), "{}", files[0].text);
        let policy = Policy::parse(&files).unwrap();
        assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
        for Service { asset, service, port, .. } in services {
            let (found, offered) = policy.locate(&asset, port).unwrap();
            assert_eq!((found.id.as_str(), offered.protocol), (asset.as_str(), service));
        }
    }
}
