//! "5 minutes ago", in the words and steps of the Rails sample.

use chrono::{DateTime, Utc};

use super::pluralize;

/// How long ago something was: "less than a minute", "5 minutes", "about 2 hours", "3 days".
pub fn time_ago(then: &DateTime<Utc>, now: &DateTime<Utc>) -> String {
    let minutes = ((*now - *then).num_seconds().max(0) + 30) / 60;
    let months = (minutes + 21_600) / 43_200;
    match minutes {
        0 => "less than a minute".to_owned(),
        1..=44 => pluralize(&minutes, "minute"),
        45..=1_439 => format!("about {}", pluralize(&((minutes + 30) / 60), "hour")),
        1_440..=43_199 => pluralize(&((minutes + 720) / 1_440), "day"),
        43_200..=86_399 => format!("about {}", pluralize(&months, "month")),
        86_400..=525_599 => pluralize(&months, "month"),
        _ => years(minutes),
    }
}

fn years(minutes: i64) -> String {
    const YEAR: i64 = 525_960;
    let years = minutes / YEAR;
    let plural = |count: i64| pluralize(&count, "year");
    match minutes % YEAR {
        0..=131_399 => format!("about {}", plural(years.max(1))),
        131_400..=394_199 => format!("over {}", plural(years.max(1))),
        _ => format!("almost {}", plural(years + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn says_it_as_the_original() {
        let now = Utc::now();
        for (seconds, words) in [
            (-5, "less than a minute"),
            (29, "less than a minute"),
            (30, "1 minute"),
            (89, "1 minute"),
            (300, "5 minutes"),
            (44 * 60, "44 minutes"),
            (45 * 60, "about 1 hour"),
            (2 * 3600, "about 2 hours"),
            (86_400, "1 day"),
            (3 * 86_400, "3 days"),
            (30 * 86_400, "about 1 month"),
            (100 * 86_400, "3 months"),
            (366 * 86_400, "about 1 year"),
            (550 * 86_400, "over 1 year"),
            (700 * 86_400, "almost 2 years"),
        ] {
            assert_eq!(time_ago(&(now - TimeDelta::seconds(seconds)), &now), words, "{seconds} s");
        }
    }
}
