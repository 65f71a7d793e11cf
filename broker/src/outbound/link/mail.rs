//! A mail for each alarm, over TLS or not at all.

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use zeroize::Zeroizing;

use super::{LinkError, SENT_WITHIN, SendError, away, tls};
use crate::config::{Mail, MailTls};
use crate::outbound::message::{Message, What};

/// A server that takes mail.
pub(in crate::outbound) struct Mailing {
    server: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Mailing {
    pub(super) fn new(mail: &Mail) -> Result<Self, LinkError> {
        let host = mail.remote.host.clone();
        // Checked as ours are: a file that holds no authority is an error with its name.
        tls::Tls::new(&host, &mail.trust)?;
        let pem = std::fs::read(&mail.trust.ca).unwrap_or_default();
        let unusable = |error: lettre::transport::smtp::Error| LinkError::Mail(error.to_string());
        let trusted = Certificate::from_pem(&pem).map_err(unusable)?;
        let parameters = TlsParameters::builder(host.clone())
            .certificate_store(CertificateStore::None)
            .add_root_certificate(trusted)
            .build_rustls()
            .map_err(unusable)?;
        let tls = match mail.tls {
            MailTls::StartTls => Tls::Required(parameters),
            MailTls::Implicit => Tls::Wrapper(parameters),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(mail.remote.port)
            .timeout(Some(SENT_WITHIN))
            .hello_name(ClientId::Domain("sallyport".to_owned()))
            .tls(tls);
        if let Some(login) = &mail.login {
            let password = std::fs::read_to_string(&login.password_file).map(Zeroizing::new);
            let password =
                password.map_err(|source| LinkError::Secret { path: login.password_file.clone(), source })?;
            builder = builder.credentials(Credentials::new(login.user.clone(), password.trim_end().to_owned()));
        }
        let mailbox = |text: &String| {
            let address = text.parse::<Address>().map_err(|error| LinkError::Mail(format!("`{text}`: {error}")))?;
            Ok::<_, LinkError>(Mailbox::new(None, address))
        };
        let to = mail.to.iter().map(mailbox).collect::<Result<_, _>>()?;
        Ok(Self { server: mail.remote.to_string(), from: mailbox(&mail.from)?, to, transport: builder.build() })
    }

    pub(super) async fn send(&mut self, messages: &[Message]) -> Result<(), SendError> {
        for message in messages {
            let mail = self.mail(message)?;
            if let Err(error) = self.transport.send(mail).await {
                let said = chain(&error);
                // Too large, or not liked for what it is. All else can be mended at the other side.
                let refused = error.status().is_some_and(|code| [552, 554].contains(&u16::from(code)));
                return Err(if refused { SendError::Refused(said) } else { SendError::Away(said) });
            }
        }
        Ok(())
    }

    pub(super) async fn reach(&mut self) -> Result<String, SendError> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(format!("`{}` answers over TLS, by a certificate that is trusted", self.server)),
            Ok(false) => Err(SendError::Away(format!("`{}` does not take commands", self.server))),
            Err(error) => Err(SendError::Away(format!("`{}`: {}", self.server, chain(&error)))),
        }
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, SendError> {
        let unmade = |error: lettre::error::Error| away("no mail can be made", &error);
        let (subject, id, text) = match &message.what {
            What::Event(event) => {
                let subject = format!("ALARM {} {} at {}", event.code, event.name, message.broker);
                let text = told(message, &event.event);
                (subject, event.id.as_str(), text)
            }
            What::Head(_) => (format!("head of the chain at {}", message.broker), "head", message.body.clone()),
        };
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .subject(sallyport_plain::printable(&subject))
            .message_id(Some(format!("<{id}@sallyport>")))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        mail.body(text).map_err(unmade)
    }
}

/// The event in lines, and the entry as the chain has it.
fn told(message: &Message, event: &serde_json::Value) -> String {
    let mut text = format!("{}\n\n", message.at);
    for (name, value) in event.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!("{name}: {}\n", sallyport_plain::printable(&value)));
    }
    format!("{text}\n{}\n", message.body)
}

/// An error with what lies under it: the library's own words alone say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        said.push_str(&format!(": {error}"));
        under = error.source();
    }
    said
}
