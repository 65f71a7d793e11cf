//! A plant file that changes a filter under a connection.

use sallyport_tests::{eventually, the_end};

use super::{Client, WITHIN, live, plant_with_tunnel};

#[test]
fn a_plant_file_narrows_and_widens_the_filter_of_a_connection() {
    let (plant, controller, tunnel) = plant_with_tunnel("mona");
    let standard = plant.plant_file();
    let with = |registers: &str| {
        let changed = standard.replace("registers = [\"100-109\"]", &format!("registers = [\"{registers}\"]"));
        assert_ne!(changed, standard);
        changed
    };
    let mut client = Client::connect(&tunnel);
    assert_eq!(client.read(100, 20), Ok(vec![0; 20]));
    client.write(100, 10).unwrap();
    assert_eq!(client.write(115, 10), Err(2));

    plant.apply(&with("105-109"));
    eventually("it is narrower", WITHIN, || (client.write(100, 10) == Err(2)).then_some(()));
    client.write(105, 10).expect("what is still allowed is");

    plant.apply(&with("100-119"));
    eventually("it is wider", WITHIN, || client.write(115, 10).ok());
    // What was read before the change is still known.
    client.write(116, 50).unwrap();
    assert_eq!(client.write(117, 51), Err(3));

    plant.apply(&standard.replace("max_step = 50", "max_step = 5"));
    let mut value = 0;
    eventually("steps are smaller", WITHIN, || {
        value = 40 - value;
        (client.write(101, value) == Err(3)).then_some(())
    });
    assert_eq!((controller.register(100), controller.register(105), controller.register(115)), (10, 10, 10));

    plant.apply(&standard.replace("[filter.setpoints]", "[filter.setpoints]\nmode = \"observe\""));
    eventually("it only observes", WITHIN, || client.write(101, 999).ok());
    assert_eq!(controller.register(101), 999);

    assert_eq!(live(&plant), 1, "the connection is still the first");
    drop(client);
    let (end, evidence) = the_end(&plant);
    assert_eq!(end, "left");
    let observed = evidence.operations().into_iter().find(|operation| operation["verdict"] == "would-deny").unwrap();
    assert_eq!((&observed["address"], &observed["cause"]), (&101.into(), &"value".into()), "{observed}");
}

#[test]
fn a_count_per_minute_outlives_a_change_of_the_plant() {
    let (plant, _controller, tunnel) = plant_with_tunnel("mona");
    let mut client = Client::connect(&tunnel);
    for value in [0, 1, 2] {
        client.write(200, value).unwrap();
    }
    assert_eq!(client.write(200, 0), Err(6));
    let standard = plant.plant_file();
    plant.apply(&standard.replace("allowed = [0, 1, 2]", "allowed = [0, 1]"));
    eventually("the change is in force", WITHIN, || (client.write(200, 2) == Err(3)).then_some(()));
    assert_eq!(client.write(200, 0), Err(6));
}

/// The plant file's guide says so: whoever connects again begins anew.
#[test]
fn a_count_per_minute_is_each_connections_own() {
    let (_plant, _controller, tunnel) = plant_with_tunnel("mona");
    for connection in ["first", "second"] {
        let mut client = Client::connect(&tunnel);
        for value in [0, 1, 2] {
            client.write(200, value).expect(connection);
        }
        assert_eq!(client.write(200, 0), Err(6), "{connection}");
    }
}
