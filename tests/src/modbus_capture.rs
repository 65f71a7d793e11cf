//! Captures of Modbus, written packet by packet.

use std::net::Ipv4Addr;
use std::path::Path;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 10, 0, 9), 50_000);
const MODBUS: u16 = 502;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN: u8 = 0x01;

/// A capture of one client's connections to one device, as a pcap of IPv4 packets.
pub struct ModbusCapture {
    device: Ipv4Addr,
    file: Vec<u8>,
    micros: u64,
    port: u16,
    sequence: u32,
    acknowledged: u32,
    transaction: u16,
    losing: bool,
}

impl ModbusCapture {
    /// A capture that begins at this moment with a connection to a device.
    pub fn begin(device: &str, unix_seconds: u64) -> ModbusCapture {
        let mut capture = ModbusCapture {
            device: device.parse().expect("an IPv4 address"),
            file: [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101]
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect(),
            micros: unix_seconds * 1_000_000,
            port: CLIENT.1,
            sequence: 1000,
            acknowledged: 2000,
            transaction: 0,
            losing: false,
        };
        capture.connect();
        capture
    }

    /// Another connection.
    pub fn connect(&mut self) -> &mut Self {
        self.port += 1;
        self.client_sends(SYN, &[]);
        self.sequence += 1;
        self.device_sends(SYN | ACK, &[]);
        self.acknowledged += 1;
        self.client_sends(ACK, &[]);
        self
    }

    /// Both sides end the connection.
    pub fn close(&mut self) -> &mut Self {
        self.client_sends(FIN | ACK, &[]);
        self.sequence += 1;
        self.device_sends(FIN | ACK, &[]);
        self.acknowledged += 1;
        self
    }

    /// A request to unit 1 and its answer, as PDUs.
    pub fn exchange(&mut self, request: &[u8], answer: &[u8]) -> &mut Self {
        self.transaction += 1;
        let [high, low] = self.transaction.to_be_bytes();
        let frame = |pdu: &[u8]| [&[high, low, 0, 0, 0, pdu.len() as u8 + 1, 1], pdu].concat();
        self.asks(&frame(request)).answers(&frame(answer))
    }

    /// A write of one register, and its echo.
    pub fn write(&mut self, address: u16, value: u16) -> &mut Self {
        let pdu = [&[6], &address.to_be_bytes()[..], &value.to_be_bytes()].concat();
        self.exchange(&pdu, &pdu)
    }

    /// A read of registers, and their values.
    pub fn read(&mut self, address: u16, values: &[u16]) -> &mut Self {
        let count = (values.len() as u16).to_be_bytes();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        let request = [&[3], &address.to_be_bytes()[..], &count].concat();
        self.exchange(&request, &[&[3, bytes.len() as u8], &bytes[..]].concat())
    }

    /// Bytes from the client.
    pub fn asks(&mut self, bytes: &[u8]) -> &mut Self {
        self.client_sends(ACK, bytes);
        self.sequence += bytes.len() as u32;
        self
    }

    /// Bytes from the device.
    pub fn answers(&mut self, bytes: &[u8]) -> &mut Self {
        self.device_sends(ACK, bytes);
        self.acknowledged += bytes.len() as u32;
        self
    }

    /// What happens within is not captured.
    pub fn unseen(&mut self, happens: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        self.losing = true;
        happens(self);
        self.losing = false;
        self
    }

    /// Time passes.
    pub fn pass(&mut self, seconds: u64) -> &mut Self {
        self.micros += seconds * 1_000_000;
        self
    }

    /// Writes the file.
    pub fn save(&self, path: &Path) {
        std::fs::write(path, &self.file).expect("a capture");
    }

    fn client_sends(&mut self, flags: u8, payload: &[u8]) {
        let acknowledged = if flags & ACK != 0 { self.acknowledged } else { 0 };
        let (client, device) = ((CLIENT.0, self.port), (self.device, MODBUS));
        self.packet(client, device, (self.sequence, acknowledged), flags, payload);
    }

    fn device_sends(&mut self, flags: u8, payload: &[u8]) {
        let (client, device) = ((CLIENT.0, self.port), (self.device, MODBUS));
        self.packet(device, client, (self.acknowledged, self.sequence), flags, payload);
    }

    fn packet(
        &mut self,
        from: (Ipv4Addr, u16),
        to: (Ipv4Addr, u16),
        (sequence, acknowledged): (u32, u32),
        flags: u8,
        payload: &[u8],
    ) {
        self.micros += 500;
        if self.losing {
            return;
        }
        let length = (40 + payload.len() as u16).to_be_bytes();
        let ip = [&[0x45, 0], &length[..], &[0, 0, 0x40, 0, 64, 6, 0, 0], &from.0.octets(), &to.0.octets()].concat();
        let ports = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
        let tcp =
            [&ports, &sequence.to_be_bytes()[..], &acknowledged.to_be_bytes(), &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]];
        let packet = [ip, tcp.concat(), payload.to_vec()].concat();
        let (seconds, micros) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let head = [seconds as u32, micros as u32, packet.len() as u32, packet.len() as u32];
        self.file.extend(head.iter().flat_map(|word| word.to_le_bytes()));
        self.file.extend(packet);
    }
}
