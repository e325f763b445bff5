//! Read-your-writes consistency with a database reader, on every instance: a request that wrote stores the writer's
//! position in a signed cookie, and that browser's pages are read from the reader only if it has reached this position.

use actix_web::HttpRequest;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::db::{Conn, Position, Reader, observe_writes};
use crate::error::Result;
use crate::web::cookies::CookieName;

/// How long a browser reads from the writer after a write if the writer has no position (Aurora). Aurora replicas
/// usually lag much less than 100 ms; the rest allows for busy ones and for clock differences between instances.
const TIME_WITHOUT_POSITION: TimeDelta = TimeDelta::seconds(2);

/// When this browser wrote last.
#[derive(Debug, PartialEq, Eq)]
enum LastWrite {
    Position(Position),
    Time(DateTime<Utc>),
}

/// After a request that wrote, stores the position. Costs nothing without a reader, and GET requests never write what
/// a reader shows.
pub async fn read_your_writes(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let app = req.app_data::<Data<App>>().filter(|_| !req.method().is_safe()).cloned();
    let Some((app, reader)) = app.and_then(|app| Some((app.clone(), app.reader.clone()?))) else {
        return next.call(req).await;
    };
    let request = req.request().clone();
    let (answer, has_written) = observe_writes(next.call(req)).await;
    if has_written {
        let last_write = LastWrite::now(&app, &reader).await;
        app.cookies.set_signed(&request, CookieName::LastWrite, last_write.to_text());
    }
    answer
}

/// A connection to the reader if there is one that has applied what this browser wrote, else to the writer. A request
/// that may write reads from the writer.
pub(in crate::web) async fn read_conn(app: &App, req: &HttpRequest) -> Result<Conn> {
    let Some(reader) = app.reader.as_ref().filter(|_| req.method().is_safe()) else {
        return app.db.conn().await;
    };
    let cookie = app.cookies.get_signed(req, CookieName::LastWrite);
    // Boxed, because without a reader every page's future would reserve space for it.
    match cookie.and_then(|text| LastWrite::from_text(&text)) {
        Some(LastWrite::Position(position)) => Box::pin(reader.conn(Some(&position))).await,
        Some(LastWrite::Time(at)) if app.clock.now() < at + settling_time(reader) => app.db.conn().await,
        _ => Box::pin(reader.conn(None)).await,
    }
}

/// Includes the reader's lag if it is known: the writer then has a position, but one that is too long for a cookie.
fn settling_time(reader: &Reader) -> TimeDelta {
    let lag = reader.lag().and_then(|lag| TimeDelta::from_std(lag).ok());
    TIME_WITHOUT_POSITION + lag.unwrap_or_default()
}

impl LastWrite {
    async fn now(app: &App, reader: &Reader) -> LastWrite {
        match reader.position().await {
            Ok(Some(position)) if position.as_text().is_some() => LastWrite::Position(position),
            _ => LastWrite::Time(app.clock.now()),
        }
    }

    fn to_text(&self) -> String {
        match self {
            LastWrite::Position(position) => format!("gtid {}", position.as_text().unwrap_or_default()),
            LastWrite::Time(at) => format!("time {}", at.timestamp_millis()),
        }
    }

    fn from_text(text: &str) -> Option<LastWrite> {
        match text.split_once(' ')? {
            ("gtid", gtids) => Some(LastWrite::Position(Position::from_text(gtids))),
            ("time", millis) => DateTime::from_timestamp_millis(millis.parse().ok()?).map(LastWrite::Time),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_says_what_was_put_into_it() {
        let position = Position::from_text("0-1-100");
        for last_write in [
            LastWrite::Position(position),
            LastWrite::Time(DateTime::from_timestamp_millis(1_764_000_000_123).unwrap()),
        ] {
            assert_eq!(LastWrite::from_text(&last_write.to_text()), Some(last_write));
        }
        for bad in ["", "gtid", "time x", "lsn 7", "time 99999999999999999999"] {
            assert_eq!(LastWrite::from_text(bad), None, "{bad}");
        }
    }
}
