//! References to AWS Secrets Manager and Systems Manager Parameter Store: ARNs, in the syntax that ECS task definitions
//! use for `valueFrom`.

use std::fmt;

use super::values::{Fault, aws_domain, aws_region};

/// A reference to a value that is stored in AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    arn: String,
    pub entry: Entry,
    /// Key of the value, if the text is a JSON object; `None` if the entire text is the value.
    pub json_key: Option<String>,
}

/// A secret or parameter, read by one call. Several references may name keys of the same entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub store: Store,
    pub region: String,
    /// Domain of the region's endpoints.
    pub domain: &'static str,
    /// The ARN up to and including the name.
    pub id: String,
    /// Staging label of the version; AWSCURRENT if neither this nor `version` is set.
    pub stage: Option<String>,
    pub version: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    SecretsManager,
    ParameterStore,
}

const FORM: Fault = "is not of the form arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:JSON-KEY:STAGE:VERSION] or \
    arn:aws:ssm:REGION:ACCOUNT:parameter/NAME; copy the ARN from the console, and add :JSON-KEY:: to it for one member \
    of a secret";

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl Reference {
    /// Parses the ARN of a secret or a parameter. `None` for every other text.
    pub(super) fn parse(text: &str) -> Option<Result<Reference, Fault>> {
        let parts: Vec<_> = text.split(':').collect();
        let ["arn", partition, service, region, account, resource @ ..] = parts.as_slice() else {
            return None;
        };
        let parsed = match *service {
            "secretsmanager" => secret(resource),
            "ssm" => parameter(resource),
            _ => return None,
        };
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic());
        let parts = parsed.zip(aws_domain(partition)).zip(aws_region(region).ok());
        let Some(((parts, domain), region)) = parts.filter(|_| is_account && is_plain) else {
            return Some(Err(FORM));
        };
        let Parts { store, resource, json_key, stage, version } = parts;
        let id = format!("arn:{partition}:{service}:{region}:{account}:{resource}");
        let entry = Entry { store, region, domain, id, stage, version };
        Some(Ok(Reference { arn: text.to_owned(), entry, json_key }))
    }
}

struct Parts {
    store: Store,
    resource: String,
    json_key: Option<String>,
    stage: Option<String>,
    version: Option<String>,
}

fn secret(resource: &[&str]) -> Option<Parts> {
    let ["secret", name, more @ ..] = resource else { return None };
    let part = |at: usize| more.get(at).filter(|part| !part.is_empty()).map(|part| (*part).to_owned());
    (!name.is_empty() && more.len() <= 3).then(|| Parts {
        store: Store::SecretsManager,
        resource: format!("secret:{name}"),
        json_key: part(0),
        stage: part(1),
        version: part(2),
    })
}

fn parameter(resource: &[&str]) -> Option<Parts> {
    let [resource] = resource else { return None };
    let name = resource.strip_prefix("parameter/")?;
    (!name.is_empty()).then(|| Parts {
        store: Store::ParameterStore,
        resource: (*resource).to_owned(),
        json_key: None,
        stage: None,
        version: None,
    })
}
