//! Bounces and complaints that SES reports through SNS.

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::app::App;
use crate::error::{Error, Result};
use crate::mail::sns::SnsMessage;
use crate::mail::{ses_events, suppression};
use crate::web::form;
use crate::web::sign_in::audit;

/// Largest SNS message, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// POST /webhooks/ses. The signature of the message authenticates it. Available only if SES_TOPIC_ARN is set.
pub async fn create(app: Data<App>, req: HttpRequest, payload: Payload) -> Result<HttpResponse> {
    let sns = app.sns.as_ref().ok_or(Error::NotFound)?;
    let body = form::body(req.headers(), payload, MAX_BODY).await?;
    let message = sns.read(&body, app.clock.now()).await.inspect_err(|error| {
        tracing::warn!(target: "audit", event = "ses_message_refused", %error, "audit");
    })?;
    match message {
        SnsMessage::Subscription(url) => {
            sns.confirm(&url).await?;
            audit("ses_subscription_confirmed", None);
        }
        SnsMessage::Unsubscribed => {
            tracing::warn!(target: "audit", event = "ses_unsubscribed", "audit");
        }
        SnsMessage::Notification { text, at } => {
            let Some(addresses) = ses_events::addresses_to_suppress(&text) else {
                tracing::info!("SES notification is neither a bounce nor a complaint");
                return Ok(accepted());
            };
            let mut db = app.db.conn().await?;
            for (email, reason) in addresses {
                if suppression::add(&mut db, &email, &reason, at).await? {
                    tracing::info!(target: "audit", event = "address_suppressed", reason, "audit");
                }
            }
        }
    }
    Ok(accepted())
}

fn accepted() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}
