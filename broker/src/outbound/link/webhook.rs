//! An HTTPS request for each alarm, signed, so that the receiver can tell whose it is and that it is no old one.

use aws_lc_rs::hmac;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::dial::dial;
use super::tls::Tls;
use super::{LinkError, SendError, away};
use crate::config::Webhook;
use crate::outbound::message::{Message, What};

/// Where requests go.
pub(in crate::outbound) struct Hook {
    to: Webhook,
    tls: Tls,
    key: hmac::Key,
}

impl Hook {
    pub(super) fn new(webhook: &Webhook) -> Result<Self, LinkError> {
        let path = &webhook.secret_file;
        let secret = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|source| LinkError::Secret { path: path.clone(), source })?;
        if secret.trim().len() < LEAST_SECRET {
            return Err(LinkError::ShortSecret { path: path.clone(), least: LEAST_SECRET });
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.trim().as_bytes());
        Ok(Self { tls: Tls::new(&webhook.remote.host, &webhook.trust)?, to: webhook.clone(), key })
    }

    pub(super) async fn send(&mut self, messages: &[Message]) -> Result<(), SendError> {
        for message in messages {
            let status = self.ask(self.request(message, Timestamp::now())?).await?;
            if !status.is_success() {
                let said = format!("it answered {status}");
                return Err(match status {
                    StatusCode::BAD_REQUEST
                    | StatusCode::PAYLOAD_TOO_LARGE
                    | StatusCode::UNSUPPORTED_MEDIA_TYPE
                    | StatusCode::UNPROCESSABLE_ENTITY => SendError::Refused(said),
                    // Whatever else it is, somebody can mend it at the other side.
                    _ => SendError::Away(said),
                });
            }
        }
        Ok(())
    }

    pub(super) async fn reach(&mut self) -> Result<String, SendError> {
        drop(self.tls.over(dial(&self.to.remote).await?).await?);
        Ok(format!("`{}` answers over TLS, by a certificate that is trusted", self.to.remote))
    }

    fn request(&self, message: &Message, now: Timestamp) -> Result<Request<Full<Bytes>>, SendError> {
        let remote = &self.to.remote;
        let host = if remote.port == 443 { remote.host.clone() } else { remote.to_string() };
        let (timestamp, body) = (now.as_second().to_string(), message.body.clone());
        let signature = hmac::sign(&self.key, format!("{timestamp}.{body}").as_bytes());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.to.path.as_str())
            .header(HOST, host)
            .header(USER_AGENT, concat!("sallyport/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header("sallyport-timestamp", timestamp)
            .header("sallyport-signature", format!("v1={}", HEXLOWER.encode(signature.as_ref())));
        if let What::Event(event) = &message.what {
            request = request.header("sallyport-code", &event.code).header("idempotency-key", &event.id);
        }
        // What is in the configuration, and not in the event, makes no request.
        request.body(Full::new(Bytes::from(body))).map_err(|error| away("no request can be made", &error))
    }

    /// One request on a connection of its own: alarms are rare.
    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, SendError> {
        let socket = self.tls.over(dial(&self.to.remote).await?).await?;
        let failed = |error: hyper::Error| away("http", &error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(failed)?;
        let _speaking = AbortOnDropHandle::new(tokio::spawn(connection));
        Ok(sender.send_request(request).await.map_err(failed)?.status())
    }
}

/// What is guessed is no secret.
const LEAST_SECRET: usize = 16;
