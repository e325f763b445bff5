# shellcheck shell=bash
# Chapter 12: Logstash and OpenSearch. Sourced by docs/walkthrough/checkpoint.

value TOPIC 'A topic for its alarms' &&
    check "topic $NAME-alarms" "arn:aws:sns:$REGION:$ACCOUNT:$NAME-alarms" "$(ask sns get-topic-attributes --topic-arn "$TOPIC" --query Attributes.TopicArn)" 'make it again' 'A topic for its alarms'
files=$(ask s3api list-objects-v2 --bucket "${ARTIFACTS:-none}" --prefix logstash/1/ --query 'Contents[].Key' | tr '\t' '\n' | grep -cE '/(logstash[.]conf|index-template[.]json|dashboard[.]ndjson)$')
check 'files of Logstash in the bucket' 3 "$files" 'copy them again' 'Files for Logstash'
status=$(ask cloudformation describe-stacks --stack-name "$NAME-logs" --query 'Stacks[0].StackStatus')
case $status in
    CREATE_COMPLETE | UPDATE_COMPLETE | UPDATE_ROLLBACK_COMPLETE) ok "stack $NAME-logs" ;;
    '') missing "stack $NAME-logs" "there is none in $REGION; run the command" 'The stack' ;;
    *_IN_PROGRESS) missing "stack $NAME-logs" "it is at work ($status); wait" 'The stack' ;;
    *) missing "stack $NAME-logs" "it failed ($status); look at its events, delete it and make it again" 'The stack' ;;
esac
check "OpenSearch domain $NAME" "$NAME" "$(ask opensearch describe-domain --domain-name "$NAME" --query DomainStatus.DomainName)" 'the stack makes it' 'The stack'
value LOGSTASH_URL 'The stack' &&
    check 'LOGSTASH_URL in the settings' "$LOGSTASH_URL" "$(aws s3 cp "s3://${ARTIFACTS:-none}/settings/sample-app.env" - 2>/dev/null | sed -n 's/^LOGSTASH_URL=//p' | tr '\n' ' ' | sed 's/ $//')" \
        'write it into the settings, once, and copy them' 'The application ships its lines'
