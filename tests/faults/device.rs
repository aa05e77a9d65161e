//! A device that is lost, as a driver loses one: its jobs run again on the cpu engine, it is built anew, and no request notices.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    client::Client,
    ledger::Ledger,
    pictures::Random,
    server::{Server, eventually, home, program},
    shim,
};

/// Times that a device was thrown away.
pub(crate) const LOST: &str = "glimt_device_rebuilds_total";

/// 1 while there is one.
pub(crate) const HEALTHY: &str = "glimt_device_healthy";

/// Jobs that it had when it was lost, and those that came while it was away: the cpu engine did them.
pub(crate) const RECOVERED: &str = "glimt_device_missed_jobs_total{reason=\"recovered\"}";
pub(crate) const UNAVAILABLE: &str = "glimt_device_missed_jobs_total{reason=\"unavailable\"}";

/// Where a driver says that the device is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// To who sends a batch.
    Submit,
    /// To who waits for one.
    Wait,
}

/// `layer.c`, compiled, and described to the Vulkan loader.
#[derive(Debug)]
pub(crate) struct Layer {
    folder: PathBuf,
    control: PathBuf,
}

impl Layer {
    /// The layer, described in `home`. `None`, said by name, without a C compiler or a software adapter; where an adapter must be,
    /// that is an error.
    pub(crate) fn new(home: &Path) -> Option<Self> {
        let opened = Command::new(program()).args(["probe", "software"]).output().unwrap();
        let is_required = std::env::var_os("REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(opened.status.success() || !is_required, "REQUIRE_GPU=1, and {opened:?}");
        if !opened.status.success() {
            println!("skipped: no adapter");
            return None;
        }
        let library = shim::compiled("layer")?;
        let described = serde_json::json!({
            "file_format_version": "1.2.0",
            "layer": {
                "name": "VK_LAYER_GLIMT_faults",
                "type": "GLOBAL",
                "library_path": library,
                "api_version": "1.3.0",
                "implementation_version": "1",
                "description": "loses devices",
            },
        });
        fs::write(home.join("layer.json"), described.to_string()).unwrap();
        Some(Self { folder: home.to_owned(), control: home.join("lose") })
    }

    /// Has this server compute on the software adapter, behind the layer.
    pub(crate) fn load(&self, command: &mut Command) {
        command.env("GLIMT_BACKEND", "software").env("LAYER_CONTROL", &self.control);
        command.env("VK_LAYER_PATH", &self.folder).env("VK_INSTANCE_LAYERS", "VK_LAYER_GLIMT_faults");
    }

    /// The device is lost with the next batch.
    pub(crate) fn lose(&self, loss: Loss) {
        let beside = self.control.with_extension("new");
        let text = match loss {
            Loss::Submit => "submit",
            Loss::Wait => "wait",
        };
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, &self.control).unwrap();
    }

    /// Whether somebody still has to lose it.
    pub(crate) fn is_pending(&self) -> bool {
        self.control.try_exists().unwrap()
    }
}

/// Asks for a thumbnail that nobody has asked for yet, of one of these pictures.
fn ask(ledger: &mut Ledger, client: &mut Client, random: &mut Random) {
    assert_eq!(client.keyed("DELETE", "/internal/variants").unwrap().status, 204);
    let (seed, file) = ledger.any_file(random).unwrap();
    assert!(ledger.process(client, seed, &file, 16).unwrap(), "{:?}", ledger.errors);
}

#[test]
fn a_device_that_is_lost_costs_no_request() {
    let home = home();
    let Some(layer) = Layer::new(home.path()) else { return };
    let data = home.path().join("data");
    let server = Server::start_with(&data, |command| layer.load(command));
    let (mut client, mut ledger, mut random) = (server.client(), Ledger::default(), Random::new(7));
    for seed in 0..8 {
        assert!(ledger.upload(&mut client, &[seed]).unwrap());
    }
    ask(&mut ledger, &mut client, &mut random);
    let done = client.metrics().unwrap()["glimt_engine_jobs_total{engine=\"software\"}"];
    assert!(done > 0.0, "the control: the device has work");
    for (loss, lost) in [Loss::Submit, Loss::Wait, Loss::Submit].into_iter().zip(1_u32..) {
        layer.lose(loss);
        ask(&mut ledger, &mut client, &mut random);
        assert!(!layer.is_pending(), "{loss:?}: nobody lost it");
        // While it is away.
        ask(&mut ledger, &mut client, &mut random);
        let said = client.metrics().unwrap();
        assert_eq!((said[LOST], said[RECOVERED]), (lost.into(), lost.into()), "{loss:?}: {}", server.log());
        assert!(said[UNAVAILABLE] >= lost.into(), "{loss:?}: {}", server.log());
        eventually("the device to be back", 60, || client.metrics().unwrap()[HEALTHY] > 0.0);
        ask(&mut ledger, &mut client, &mut random);
    }
    let said = client.metrics().unwrap();
    assert!(said["glimt_engine_jobs_total{engine=\"software\"}"] >= done + 3.0, "it works again");
    assert_eq!(server.log().matches("the device is back").count(), 3, "{}", server.log());
    assert_eq!(ledger.errors, [""; 0]);
    ledger.is_clean("after three losses");
    server.stop();
}
