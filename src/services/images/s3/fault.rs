//! Turns S3 errors into texts that say what to do. They quote nothing of the request, so no signature and no key.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::error::Error;

/// An error response.
struct Refusal<'a> {
    status: u16,
    /// The bucket's region; S3 sends it even with errors.
    bucket_region: Option<&'a str>,
    code: Option<&'a str>,
    message: Option<&'a str>,
}

/// Describes an error of a request for `bucket`, sent to the region `asked_region`.
pub(super) fn describe<E>(bucket: &str, asked_region: &str, error: &SdkError<E>) -> Error
where
    E: StdError + ProvideErrorMetadata + 'static,
{
    Error::unavailable(match error.raw_response() {
        Some(answer) => {
            let refusal = Refusal {
                status: answer.status().as_u16(),
                bucket_region: answer.headers().get("x-amz-bucket-region"),
                code: error.code(),
                message: error.message(),
            };
            explain(bucket, asked_region, &refusal)
        }
        None => unanswered(&chain(error)),
    })
}

/// For requests without a response. The SDK loads credentials before each request, and reports missing ones as a
/// dispatch failure.
fn unanswered(why: &str) -> String {
    if why.contains("credential") {
        return format!(
            "there are no credentials for S3 ({why}); give the instance a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID \
             and AWS_SECRET_ACCESS_KEY"
        );
    }
    format!("S3 did not answer: {why}")
}

fn explain(bucket: &str, asked_region: &str, refusal: &Refusal<'_>) -> String {
    let Refusal { status, bucket_region, code, message } = refusal;
    if let Some(region) = bucket_region.filter(|region| *region != asked_region) {
        return format!(
            "the bucket {bucket} is in the region {region}, and {asked_region} was asked; set \
             AWS_INTRO_SAMPLE_S3_REGION={region} (or AWS_REGION)"
        );
    }
    let said: Vec<_> = [*code, *message].into_iter().flatten().collect();
    let said = format!("S3 answered {status} {}", said.join(": "));
    let said = said.trim_end();
    match (status, *code) {
        (404, None | Some("NoSuchBucket" | "NotFound")) => {
            format!(
                "{said}; there is no bucket {bucket}: make it, or correct IMAGES_URL (AWS_INTRO_SAMPLE_S3_BUCKET)"
            )
        }
        (_, Some("SignatureDoesNotMatch" | "InvalidAccessKeyId" | "ExpiredToken" | "InvalidToken")) => {
            format!("{said}; correct the credentials, or remove them and give the instance a role")
        }
        (_, Some("RequestTimeTooSkewed")) => format!(
            "{said}; the clock of this machine is wrong: compare `date -u`, and let chrony or systemd-timesyncd set it (on \
             EC2 from 169.254.169.123)"
        ),
        (401 | 403, _) => format!(
            "{said}; the role of the instance (or whose credentials are used) needs s3:GetObject, s3:PutObject and \
             s3:DeleteObject on arn:aws:s3:::{bucket}/* and s3:ListBucket on arn:aws:s3:::{bucket}; wrong credentials \
             are refused alike"
        ),
        (301 | 307 | 400, _) => {
            format!(
                "{said}; the region may be wrong ({asked_region} was asked): see AWS_INTRO_SAMPLE_S3_REGION"
            )
        }
        _ => said.to_owned(),
    }
}

/// The texts of an error and its sources, without repetitions.
fn chain(error: &dyn StdError) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !words.iter().any(|said| said.contains(&text)) {
            words.push(text);
        }
        next = error.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(
        status: u16,
        bucket_region: Option<&'static str>,
        code: Option<&'static str>,
    ) -> Refusal<'static> {
        Refusal { status, bucket_region, code, message: None }
    }

    #[test]
    fn a_wrong_region_is_told_with_the_right_one() {
        for status in [301, 400, 403] {
            let said = explain("uploads", "eu-west-1", &refusal(status, Some("ap-northeast-1"), None));
            assert!(said.contains("AWS_INTRO_SAMPLE_S3_REGION=ap-northeast-1"), "{said}");
            assert!(said.contains("the bucket uploads") && said.contains("eu-west-1 was asked"), "{said}");
        }
        let said = explain("uploads", "eu-west-1", &refusal(403, Some("eu-west-1"), None));
        assert!(said.contains("s3:PutObject"), "it is the right region: {said}");
    }

    #[test]
    fn what_to_do_depends_on_what_is_wrong() {
        let told = |status, code| explain("uploads", "eu-west-1", &refusal(status, None, code));
        assert!(told(404, Some("NoSuchBucket")).contains("there is no bucket uploads"));
        assert!(told(404, None).contains("there is no bucket uploads"));
        assert!(told(403, Some("SignatureDoesNotMatch")).contains("correct the credentials"));
        assert!(told(403, None).contains("arn:aws:s3:::uploads/*"));
        let skewed = told(403, Some("RequestTimeTooSkewed"));
        assert!(skewed.contains("the clock of this machine") && !skewed.contains("arn:aws"), "{skewed}");
        assert!(told(301, None).contains("the region may be wrong"));
        assert_eq!(told(503, Some("SlowDown")), "S3 answered 503 SlowDown");
    }
}
