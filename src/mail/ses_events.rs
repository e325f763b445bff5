//! Parses SES bounce and complaint events and extracts the addresses to suppress. controllers/ses_notifications.rs
//! receives the events, and mail/suppression.rs stores the addresses.

use serde::Deserialize;

use crate::models::values::email::Email;

/// An address that must not get mail any more, and the reason.
pub type SuppressedAddress = (Email, String);

/// SES names the type `notificationType` (identity notifications) or `eventType` (configuration set events). The other
/// fields are the same.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SesEvent {
    #[serde(alias = "eventType")]
    notification_type: String,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    bounce_sub_type: Option<String>,
    bounced_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    complaint_feedback_type: Option<String>,
    complained_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
}

/// The addresses to suppress: permanent bounces and complaints. Transient bounces (full mailbox, out-of-office reply)
/// do not count. `None` if the text is not an SES event.
pub fn addresses_to_suppress(text: &str) -> Option<Vec<SuppressedAddress>> {
    let event: SesEvent = serde_json::from_str(text).ok()?;
    let (reason, recipients) = match (event.notification_type.as_str(), event.bounce, event.complaint) {
        ("Bounce", Some(bounce), _) if bounce.bounce_type == "Permanent" => {
            (reason("permanent bounce", bounce.bounce_sub_type), bounce.bounced_recipients)
        }
        // "not-spam" is the opposite of a complaint, but SES reports it as one.
        ("Complaint", _, Some(complaint))
            if complaint.complaint_feedback_type.as_deref() != Some("not-spam") =>
        {
            (reason("complaint", complaint.complaint_feedback_type), complaint.complained_recipients)
        }
        _ => return Some(Vec::new()),
    };
    let addresses = recipients.iter().filter_map(|recipient| Email::parse(&recipient.email_address).ok());
    Some(addresses.map(|email| (email, reason.clone())).collect())
}

fn reason(what: &str, detail: Option<String>) -> String {
    let is_word =
        |word: &String| word.len() <= 40 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match detail.filter(is_word) {
        Some(detail) => format!("{what} ({detail})"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<(String, String)> {
        let suppressed = addresses_to_suppress(text).unwrap();
        suppressed.into_iter().map(|(email, reason)| (email.as_str().to_owned(), reason)).collect()
    }

    #[test]
    fn understands_both_ways_of_telling() {
        let bounce = r#"{"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"NoEmail",
            "bouncedRecipients":[{"emailAddress":"Anna@Example.com","action":"failed","status":"5.1.1"},
            {"emailAddress":"no address"}]},"mail":{"destination":["anna@example.com"]}}"#;
        let expected = [("anna@example.com".to_owned(), "permanent bounce (NoEmail)".to_owned())];
        assert_eq!(addresses(bounce), expected);
        assert_eq!(addresses(&bounce.replace("notificationType", "eventType")), expected);
        let complaint = r#"{"eventType":"Complaint","complaint":{"complainedRecipients":
            [{"emailAddress":"bob@example.com"}],"complaintFeedbackType":"abuse"}}"#;
        assert_eq!(addresses(complaint), [("bob@example.com".to_owned(), "complaint (abuse)".to_owned())]);
    }

    #[test]
    fn leaves_passing_troubles_alone() {
        for text in [
            r#"{"eventType":"Bounce","bounce":{"bounceType":"Transient","bounceSubType":"MailboxFull",
                "bouncedRecipients":[{"emailAddress":"anna@example.com"}]}}"#,
            r#"{"eventType":"Complaint","complaint":{"complaintFeedbackType":"not-spam",
                "complainedRecipients":[{"emailAddress":"anna@example.com"}]}}"#,
            r#"{"eventType":"Delivery","delivery":{"recipients":["anna@example.com"]}}"#,
            r#"{"notificationType":"Bounce"}"#,
        ] {
            assert_eq!(addresses(text), [], "{text}");
        }
        assert!(
            addresses_to_suppress("Successfully validated SNS topic for Amazon SES event publishing.")
                .is_none()
        );
    }
}
