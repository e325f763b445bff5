# shellcheck shell=bash disable=SC2016
# Chapter 8: mail. Sourced by docs/walkthrough/checkpoint.

if value MAIL_ADDRESS "Verify your own address" && value SES_TOPIC "A topic for bounces, and a configuration set" && value SMTP_USER "A user that may send, and nothing else"; then
    ok "variables of this chapter in ~/stack.env"
fi

verified() { ask sesv2 get-email-identity --email-identity "${1:-none}" --query VerifiedForSendingStatus; }
check "your address ${MAIL_ADDRESS:-} is verified" True "$(verified "${MAIL_ADDRESS:-}")" "create the identity in $REGION, and open the link in AWS's mail" "Verify your own address"

if [ -z "${DOMAIN:-}" ]; then
    ok "no domain: mail comes from ${MAIL_ADDRESS:-your own address}"
else
    check "$DOMAIN is verified" True "$(verified "$DOMAIN")" "look whether the DKIM records are in the zone that the registrar names" "Domain only: DKIM, SPF and DMARC"
    records=$(ask route53 list-resource-record-sets --hosted-zone-id "${ZONE:-none}" \
        --query "ResourceRecordSets[?ends_with(Name, '._domainkey.$DOMAIN.') || Name=='bounce.$DOMAIN.' || Name=='_dmarc.$DOMAIN.'].Name" | wc -w)
    check "six records for mail in the zone" 6 "$((records))" "three of DKIM, MX and TXT of bounce.$DOMAIN, TXT of _dmarc.$DOMAIN" "Domain only: DKIM, SPF and DMARC"
fi

check "configuration set $NAME tells of bounces" "${SES_TOPIC:-none}" "$(ask sesv2 get-configuration-set-event-destinations --configuration-set-name "$NAME" \
    --query 'EventDestinations[?Enabled].SnsDestination.TopicArn')" "make the event destination, with the topic of ~/stack.env" "A topic for bounces, and a configuration set"

if ask sns get-topic-attributes --topic-arn "${SES_TOPIC:-none}" --query Attributes.Policy | grep -q ses.amazonaws.com; then
    ok "SES may publish to the topic"
else
    missing "SES may publish to the topic" "the topic's policy does not name ses.amazonaws.com" "A topic for bounces, and a configuration set"
fi

found=$(ask sns list-subscriptions-by-topic --topic-arn "${SES_TOPIC:-none}" --query "Subscriptions[?Endpoint=='${URL:-none}/webhooks/ses'].SubscriptionArn")
case $found in
    *PendingConfirmation* | *"pending confirmation"*)
        missing "one subscription of the application, confirmed" "SNS waits for an answer of $URL/webhooks/ses; set SES_TOPIC_ARN on the instances, then subscribe again" "Bounces come to the application"
        ;;
    *)
        # shellcheck disable=SC2086 # ARNs are words
        one "one subscription of the application, confirmed" "subscribe $URL/webhooks/ses" "Bounces come to the application" $found
        ;;
esac

check "user $NAME-smtp has one key, as in ~/stack.env" "${SMTP_USER:-none}" "$(ask iam list-access-keys --user-name "$NAME-smtp" --query 'AccessKeyMetadata[].AccessKeyId' | tr '\t' ' ')" \
    "delete all keys and make one again, with its secret" "A user that may send, and nothing else"

settings=$(aws s3 cp "s3://${ARTIFACTS:-none}/settings/sample-app.env" - 2>/dev/null)
lacking=
for line in "AWS_INTRO_SAMPLE_SMTP_ADDRESS=email-smtp.$REGION.amazonaws.com" "AWS_INTRO_SAMPLE_SMTP_USERNAME=${SMTP_USER:-}" "SES_SECRET_ACCESS_KEY=arn:" "SES_TOPIC_ARN=${SES_TOPIC:-}"; do
    grep -q "^$line" <<<"$settings" || lacking+=" ${line%%=*}"
done
if grep -qE '^(SES_SECRET_ACCESS_KEY|AWS_INTRO_SAMPLE_SMTP_PASSWORD)=.' <<<"$settings" && ! grep -q '^SES_SECRET_ACCESS_KEY=arn:' <<<"$settings"; then
    missing "settings for mail in S3" "a secret itself stands in ~/sample-app.env; put its ARN there" "The settings"
elif [ -n "$lacking" ]; then
    missing "settings for mail in S3" "these are not as in ~/stack.env:$lacking" "The settings"
else
    ok "settings for mail in S3"
fi
