//! The least of HTTP that a reader of figures needs: one request, one answer, and the connection is closed.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Probes;

/// A request with its headers is no longer.
const LONGEST_REQUEST: usize = 8 * 1024;

/// Answers one request. `figures` is asked only if it is for them.
pub(super) async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    figures: impl FnOnce() -> String,
    probes: &Probes,
) -> io::Result<()> {
    let mut request = Vec::new();
    while !ended(&request) {
        if request.len() >= LONGEST_REQUEST {
            return respond(stream, "431 Request Header Fields Too Large", "").await;
        }
        let left = u64::try_from(LONGEST_REQUEST - request.len()).unwrap_or(0);
        if (&mut stream).take(left).read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let path = match (words.next(), words.next(), words.next()) {
        (Some(b"GET"), Some(path), Some(version)) if version.starts_with(b"HTTP/1.") => path,
        (Some(_), Some(_), Some(version)) if version.starts_with(b"HTTP/1.") => {
            return respond(stream, "405 Method Not Allowed", "").await;
        }
        _ => return respond(stream, "400 Bad Request", "").await,
    };
    match path.split(|byte| *byte == b'?').next().unwrap_or_default() {
        b"/" | b"/metrics" => {
            let ready = (probes.ready)().await.is_empty();
            metrics::gauge!("sallyport_ready").set(f64::from(u8::from(ready)));
            respond(stream, "200 OK", &figures()).await
        }
        b"/healthz" | b"/health" => told(stream, (probes.alive)()).await,
        b"/readyz" => told(stream, (probes.ready)().await).await,
        _ => respond(stream, "404 Not Found", "").await,
    }
}

/// Well, or a line for each thing that is not.
async fn told(stream: impl AsyncWrite + Unpin, faults: Vec<String>) -> io::Result<()> {
    if faults.is_empty() {
        return respond(stream, "200 OK", "ok\n").await;
    }
    let lines: String = faults.iter().map(|fault| format!("{}\n", sallyport_plain::printable(fault))).collect();
    respond(stream, "503 Service Unavailable", &lines).await
}

fn ended(request: &[u8]) -> bool {
    request.windows(4).any(|end| end == b"\r\n\r\n")
}

async fn respond(mut stream: impl AsyncWrite + Unpin, status: &str, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::sync::Arc;

    use super::*;

    async fn answered(request: &[u8], faults: &[&str]) -> String {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        let faults: Vec<String> = faults.iter().map(|fault| (*fault).to_owned()).collect();
        let ready = faults.clone();
        let probes = Probes {
            alive: Arc::new(move || faults.clone()),
            ready: Arc::new(move || Box::pin(std::future::ready(ready.clone()))),
        };
        let answering = tokio::spawn(async move { answer(far, || "a_figure 1\n".to_owned(), &probes).await });
        near.write_all(request).await.unwrap();
        let mut text = String::new();
        near.read_to_string(&mut text).await.unwrap();
        answering.await.unwrap().unwrap();
        text
    }

    async fn status(request: &[u8]) -> String {
        answered(request, &[]).await.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn what_is_not_as_it_should_be_is_told_in_a_line_each() {
        for path in ["/healthz", "/readyz"] {
            let request = format!("GET {path} HTTP/1.1\r\n\r\n");
            assert!(answered(request.as_bytes(), &[]).await.ends_with("\r\n\r\nok\n"));
            let text = answered(request.as_bytes(), &["the database is away", "no\nroom"]).await;
            assert!(
                text.starts_with("HTTP/1.1 503 ") && text.ends_with("\r\n\r\nthe database is away\nno\\nroom\n"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn figures_are_given_and_everything_else_is_refused_in_its_own_words() {
        assert_eq!(status(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await, "HTTP/1.1 200 OK");
        assert_eq!(status(b"GET /metrics?a=b HTTP/1.0\r\n\r\n").await, "HTTP/1.1 200 OK");
        assert_eq!(status(b"GET /etc/passwd HTTP/1.1\r\n\r\n").await, "HTTP/1.1 404 Not Found");
        assert_eq!(status(b"POST /metrics HTTP/1.1\r\n\r\n").await, "HTTP/1.1 405 Method Not Allowed");
        assert_eq!(status(b"SSH-2.0-x\r\n\r\n").await, "HTTP/1.1 400 Bad Request");
        let long = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &[b'a'; LONGEST_REQUEST]].concat();
        assert!(status(&long).await.contains("431"));
    }
}
