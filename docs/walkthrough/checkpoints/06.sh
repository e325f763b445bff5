# shellcheck shell=bash disable=SC2016
# Chapter 6: pictures. Sourced by docs/walkthrough/checkpoint.

text() { ask aws "$@" --output text; }

bucket=$NAME-pictures-$ACCOUNT
what="bucket $bucket in $REGION"
if [ "${PICTURES:-}" != "$bucket" ]; then
    missing "$what" "stack.env says PICTURES=${PICTURES:-}; correct it" "The bucket"
elif [ -z "$(text s3api list-buckets --query "Buckets[?Name=='$bucket'].Name")" ]; then
    missing "$what" "there is none of this name" "The bucket"
else
    where=$(text s3api get-bucket-location --bucket "$bucket" --query LocationConstraint)
    check "$what" "$REGION" "${where:-us-east-1}" "delete it and make it with --region $REGION" "The bucket"
fi
check "it blocks all public access" "true true true true" "$(text s3api get-public-access-block --bucket "$bucket" \
    --query 'PublicAccessBlockConfiguration.[BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets]' | tr '\t[:upper:]' ' [:lower:]')" \
    "aws s3api put-public-access-block" "The bucket"
rules=$(text s3api get-bucket-lifecycle-configuration --bucket "$bucket" --query 'sort(Rules[?Status==`Enabled`].ID)' | tr '\t' ' ')
check "versions, and rules that clear old ones away" "Enabled old-versions unfinished-uploads" \
    "$(text s3api get-bucket-versioning --bucket "$bucket" --query Status) $rules" "aws s3api put-bucket-versioning and put-bucket-lifecycle-configuration" "The bucket"

policy=$(aws iam get-role-policy --role-name "$NAME-instance" --policy-name pictures --query PolicyDocument --output json 2>/dev/null | tr -d ' \n')
if [[ $policy == *s3:PutObject*"\"arn:aws:s3:::$bucket/*\""* && $policy == *s3:ListBucket*"\"arn:aws:s3:::$bucket\""* ]]; then
    ok "role may read, write and delete pictures"
else
    missing "role may read, write and delete pictures" "the policy pictures of $NAME-instance does not name $bucket and $bucket/*; put it again" "What the role may do"
fi
if [ -n "$(text s3api list-objects-v2 --bucket "$bucket" --max-items 1 --query 'Contents[0].Key')" ]; then
    ok "a picture is in the bucket"
else
    missing "a picture is in the bucket" "post one, after the settings say AWS_INTRO_SAMPLE_S3_BUCKET" "Move"
fi

if value DISTRIBUTION "CloudFront before the bucket"; then
    found=$(text cloudfront get-distribution --id "$DISTRIBUTION" --query 'Distribution.[Status, DistributionConfig.Origins.Items[0].DomainName]' | tr '\t' ' ')
    check "distribution for the bucket, deployed" "Deployed $bucket.s3.$REGION.amazonaws.com" "$found" "wait until it is deployed; its origin is the bucket with its region" "CloudFront before the bucket"
fi
policy=$(ask aws s3api get-bucket-policy --bucket "$bucket" --query Policy --output text | tr -d ' \n')
if [[ $policy == *"arn:aws:cloudfront::$ACCOUNT:distribution/${DISTRIBUTION:-none}\""* && $policy == *aws:SecureTransport* ]]; then
    ok "only this distribution may read the bucket"
else
    missing "only this distribution may read the bucket" "the bucket's policy does not name distribution ${DISTRIBUTION:-}; put it again" "The bucket's policy"
fi

is_up pictures "pictures" "Move"
