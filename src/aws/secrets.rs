//! Reads settings whose values are stored in Secrets Manager or Parameter Store (config/reference.rs has the syntax).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::{Client, Refusal, Service};
use crate::config::{Entry, Reference, Secret, Store, Variables};
use crate::error::Error;

/// Time-out for all reads together, including loading the credentials.
const TIMEOUT: Duration = Duration::from_secs(8);

const SECRETS_MANAGER: Service = Service {
    name: "secretsmanager",
    id: "Secrets Manager",
    endpoint_env: "AWS_ENDPOINT_URL_SECRETS_MANAGER",
};
const PARAMETER_STORE: Service = Service { name: "ssm", id: "SSM", endpoint_env: "AWS_ENDPOINT_URL_SSM" };

/// Staging label of the version that an unfinished rotation has created. The database may already accept its password.
pub const PENDING: &str = "AWSPENDING";

/// Reads the values of all references: each secret once, all concurrently. A failure becomes an error of its setting.
/// `stage` selects the version of secrets whose references name neither stage nor version.
pub async fn read(vars: Variables, stage: Option<&str>) -> Variables {
    let mut references: Vec<(&'static str, Reference)> = Vec::new();
    for (name, reference) in vars.references() {
        // Malformed references are reported when the settings are read.
        let Ok(mut reference) = reference else { continue };
        let entry = &mut reference.entry;
        if entry.store == Store::SecretsManager && entry.version.is_none() && entry.stage.is_none() {
            entry.stage = stage.map(str::to_owned);
        }
        references.push((name, reference));
    }
    let entries: BTreeSet<Entry> = references.iter().map(|(_, reference)| reference.entry.clone()).collect();
    let texts = fetch(entries).await;
    let values = references.into_iter().map(|(name, reference)| {
        let text = texts.get(&reference.entry).cloned();
        let text = text.unwrap_or_else(|| Err("was not read".to_owned()));
        (name, text.and_then(|text| value(&text, reference.json_key.as_deref())))
    });
    vars.with_values(values)
}

/// The text of each entry, or an error message with advice.
async fn fetch(entries: BTreeSet<Entry>) -> BTreeMap<Entry, Result<String, String>> {
    let Some(first) = entries.first() else { return BTreeMap::new() };
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    let late = |_| Error::unavailable(format!("no answer within {} s", TIMEOUT.as_secs()));
    let client = tokio::time::timeout_at(deadline, Client::load(&first.region)).await;
    let client = match client.map_err(late).flatten() {
        Ok(client) => client,
        Err(error) => {
            let fault = format!("is the ARN of a secret that cannot be read: {}", error.text());
            return entries.into_iter().map(|entry| (entry, Err(fault.clone()))).collect();
        }
    };
    let calls = entries.into_iter().map(async |entry| {
        let answer = tokio::time::timeout_at(deadline, call(&client, &entry)).await;
        let text = match answer.map_err(late).flatten() {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(refusal)) => Err(refused(&refusal, &entry)),
            Err(error) => Err(format!(
                "is the ARN of a secret that cannot be read ({}); look at the region in the ARN, and at the way there: a \
                 NAT gateway or a VPC endpoint",
                error.text()
            )),
        };
        (entry, text)
    });
    join_all(calls).await.into_iter().collect()
}

async fn call(client: &Client, entry: &Entry) -> crate::error::Result<Result<String, Refusal>> {
    let (service, action, input) = match entry.store {
        Store::SecretsManager => {
            let mut input = json!({ "SecretId": entry.id });
            for (name, part) in [("VersionStage", &entry.stage), ("VersionId", &entry.version)] {
                if let Some(part) = part {
                    input[name] = part.as_str().into();
                }
            }
            (&SECRETS_MANAGER, "secretsmanager.GetSecretValue", input)
        }
        Store::ParameterStore => {
            let input = json!({ "Name": entry.id, "WithDecryption": true });
            (&PARAMETER_STORE, "AmazonSSM.GetParameter", input)
        }
    };
    let answer = client.call(service, (&entry.region, entry.domain), action, &input).await?;
    Ok(answer.map(|answer| {
        let text = match entry.store {
            Store::SecretsManager => &answer["SecretString"],
            Store::ParameterStore => &answer["Parameter"]["Value"],
        };
        text.as_str().unwrap_or_default().to_owned()
    }))
}

/// Extracts the value from the text of an entry. No error quotes the text.
fn value(text: &str, json_key: Option<&str>) -> Result<Secret, String> {
    let value = match json_key {
        None => text.to_owned(),
        Some(key) => {
            let object: Value = serde_json::from_str(text).unwrap_or_default();
            let object = object.as_object().ok_or_else(|| {
                format!(
                    "asks for the key {key} of a secret that is no JSON object; remove :{key}:: from the ARN"
                )
            })?;
            match object.get(key) {
                Some(Value::String(text)) => text.clone(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                Some(_) => {
                    return Err(format!(
                        "asks for the key {key} of a secret, which is neither text nor a number"
                    ));
                }
                None => {
                    return Err(format!(
                        "asks for the key {key} of a secret that has no such key; look at the secret"
                    ));
                }
            }
        }
    };
    if value.is_empty() {
        return Err("is the ARN of a secret that holds no text; put the value into it as text".to_owned());
    }
    Ok(Secret::from(value))
}

fn refused(refusal: &Refusal, entry: &Entry) -> String {
    let Refusal { code, message } = refusal;
    let action = match entry.store {
        Store::SecretsManager => "secretsmanager:GetSecretValue",
        Store::ParameterStore => "ssm:GetParameter",
    };
    match code.as_str() {
        "AccessDeniedException" | "AccessDenied" => format!(
            "is the ARN of a secret that this program may not read ({code}); allow {action} on it to the role of the \
             program, and kms:Decrypt if it has a key of its own"
        ),
        "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" => format!(
            "is the ARN of a secret that is not there ({code}: {message}); look at region, name, stage and version in \
             the ARN"
        ),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch" => format!(
            "is the ARN of a secret, and AWS does not take the credentials of this program ({code}); renew them, and \
             look at the clock of this machine"
        ),
        _ => format!(
            "is the ARN of a secret that cannot be read ({code}: {message}); look at the secret in the console"
        ),
    }
}
