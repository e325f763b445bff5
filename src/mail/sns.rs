//! SNS messages, by which SES reports bounces and complaints. Only signed messages of our own topic are accepted.
//!
//! SNS signs the messages of all topics of all AWS accounts, so SES_TOPIC_ARN names ours. The certificate and the link
//! that confirms a subscription are fetched only from the SNS host of the topic's region.

mod certificates;

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use rustls::ClientConfig;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use serde::Deserialize;
use url::Url;
use webpki::EndEntityCert;

use self::certificates::Certificates;
use crate::config::SesTopic;
use crate::error::{Error, Result};
use crate::http;
use crate::tls;

/// Older messages are refused, to prevent replays. SNS itself retries for an hour.
const MAX_AGE: TimeDelta = TimeDelta::hours(1);

/// The topic that SES writes to.
pub struct Sns {
    topic: SesTopic,
    tls: Arc<ClientConfig>,
    certificates: Certificates,
}

pub enum SnsMessage {
    /// An event about a mail.
    Notification {
        /// The SES event as JSON.
        text: String,
        /// When SNS published it.
        at: DateTime<Utc>,
    },
    /// Somebody with access to the topic subscribed our endpoint; [`Sns::confirm`] accepts.
    Subscription(Url),
    /// The topic sends us no more messages.
    Unsubscribed,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    r#type: String,
    message_id: String,
    topic_arn: String,
    subject: Option<String>,
    message: String,
    timestamp: String,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
}

impl Sns {
    /// Does not connect yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(topic: SesTopic) -> Result<Sns> {
        let tls = tls::client(None)?;
        Ok(Sns { topic, certificates: Certificates::new(tls.clone()), tls })
    }

    /// Parses a message and verifies its topic, age and signature.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when a check fails; [`Error::Unavailable`] when the certificate is not available now.
    pub async fn read(&self, body: &[u8], now: DateTime<Utc>) -> Result<SnsMessage> {
        let message: Message =
            serde_json::from_slice(body).map_err(|_| refused("this is not an SNS message"))?;
        if message.topic_arn != self.topic.arn {
            return Err(refused("the topic is not that of SES_TOPIC_ARN"));
        }
        let at = DateTime::parse_from_rfc3339(&message.timestamp)
            .map_err(|_| refused("the timestamp is invalid"))?
            .to_utc();
        if (now - at).abs() > MAX_AGE {
            return Err(refused("the message is more than an hour old, or this machine's clock is wrong"));
        }
        self.verify(&message).await?;
        match (message.r#type.as_str(), &message.subscribe_url) {
            ("Notification", _) => Ok(SnsMessage::Notification { text: message.message, at }),
            ("SubscriptionConfirmation", Some(url)) => {
                let url = self
                    .on_topics_host(url)
                    .ok_or_else(|| refused("SubscribeURL is not on the topic's SNS host"))?;
                Ok(SnsMessage::Subscription(url))
            }
            ("UnsubscribeConfirmation", _) => Ok(SnsMessage::Unsubscribed),
            _ => Err(refused("unknown message type")),
        }
    }

    /// Confirms a subscription.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when SNS does not accept it.
    pub async fn confirm(&self, url: &Url) -> Result<()> {
        http::get(url, &self.tls).await.map(|_| ())
    }

    async fn verify(&self, message: &Message) -> Result<()> {
        let algorithm: &dyn SignatureVerificationAlgorithm = match message.signature_version.as_str() {
            "1" => &RsaSha1,
            "2" => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(refused("unknown signature version")),
        };
        let signature = BASE64_STANDARD
            .decode(&message.signature)
            .map_err(|_| refused("the signature is not valid base64"))?;
        let text = message.as_signed().ok_or_else(|| refused("a signed field is missing"))?;
        let url = self
            .on_topics_host(&message.signing_cert_url)
            .filter(|url| url.query().is_none() && url.path().ends_with(".pem"))
            .ok_or_else(|| refused("SigningCertURL is not a .pem file on the topic's SNS host"))?;
        let certificate = self.certificates.get(&url).await?;
        EndEntityCert::try_from(&certificate)
            .map_err(Error::unavailable)?
            .verify_signature(algorithm, text.as_bytes(), &signature)
            .map_err(|_| refused("the signature is not valid"))?;
        self.certificates.mark_verified(&url, &certificate);
        Ok(())
    }

    fn on_topics_host(&self, address: &str) -> Option<Url> {
        let url = Url::parse(address).ok()?;
        let is_there = url.origin().ascii_serialization() == self.topic.origin.origin();
        let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        (is_there && is_plain).then_some(url)
    }
}

impl Message {
    /// The string to sign: names and values of the signed fields, in the order that SNS defines. `None` if one is
    /// missing.
    fn as_signed(&self) -> Option<String> {
        let fields = if self.r#type == "Notification" {
            vec![
                ("Message", Some(&self.message)),
                ("MessageId", Some(&self.message_id)),
                ("Subject", self.subject.as_ref()),
                ("Timestamp", Some(&self.timestamp)),
                ("TopicArn", Some(&self.topic_arn)),
                ("Type", Some(&self.r#type)),
            ]
        } else {
            vec![
                ("Message", Some(&self.message)),
                ("MessageId", Some(&self.message_id)),
                ("SubscribeURL", Some(self.subscribe_url.as_ref()?)),
                ("Timestamp", Some(&self.timestamp)),
                ("Token", Some(self.token.as_ref()?)),
                ("TopicArn", Some(&self.topic_arn)),
                ("Type", Some(&self.r#type)),
            ]
        };
        // Only a subject may be absent.
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Some(fields.map(|(name, value)| format!("{name}\n{value}\n")).collect())
    }
}

fn refused(why: &'static str) -> Error {
    Error::BadRequest(why.into())
}

/// SignatureVersion 1, the default of SNS topics. webpki does not support SHA-1, so it is implemented here for this one
/// use. Forging a message takes a second preimage of SHA-1, and no practical attack is known.
#[derive(Debug)]
struct RsaSha1;

impl SignatureVerificationAlgorithm for RsaSha1 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    /// sha1WithRSAEncryption: 1.2.840.113549.1.1.5.
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        const ID: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00];
        AlgorithmIdentifier::from_slice(ID)
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let algorithm = &ring::signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
        let key = ring::signature::UnparsedPublicKey::new(algorithm, key);
        key.verify(message, signature).map_err(|_| InvalidSignature)
    }
}
