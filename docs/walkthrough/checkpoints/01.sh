# shellcheck shell=bash
# Chapter 1: the program on the reader's own machine. Sourced by docs/walkthrough/checkpoint.

url=http://localhost:3000
page() { curl --silent --max-time 5 "$url$1"; }

if [ "$(curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}' "$url/readyz")" = 200 ]; then
    ok "the application answers at $url"
    check 'five services, all embedded' 5 "$(page /stack | grep -c ', embedded:')" 'unset settings of other environments (APP_ENV, DATABASE_URL and so on), and start it again' 'Run it'
else
    missing "the application answers at $url" 'start it in another terminal and leave it there: cargo run' 'Run it'
fi

mails=$(page /inbox | grep -c 'Account activation')
if [ "${mails:-0}" -gt 0 ]; then
    ok 'a mail with an activation link'
else
    missing 'a mail with an activation link' 'sign up' 'Sign up, activate, post'
fi

cookies=~/.sample-app-visitor/cookies
if [ -e "$cookies" ] && curl --silent --max-time 5 --cookie "$cookies" "$url/" | grep -q 'Log out'; then
    ok 'somebody is logged in'
else
    missing 'somebody is logged in' 'activate the account by the link in the mail' 'Sign up, activate, post'
fi
