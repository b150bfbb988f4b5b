#!/usr/bin/env bash
# A new company's first hour with Parley, at a server that runs (`make serve`): bash docs/tour.sh
# It registers, uploads a document of each kind, makes an agent, calls it, follows the call, reads the transcript,
# and sees that another company sees none of it. PARLEY_API_URL names a server other than this machine's.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export XDG_CONFIG_HOME=$here # a session of its own
name=clinic$RANDOM$RANDOM
say() { printf '\n== %s\n' "$*"; }
fail() { printf 'tour: %s\n' "$*" >&2; exit 1; }
field() { python -c "import json, sys; print(json.load(sys.stdin)$1)"; }

say "A company registers"
echo "a long password" | parley companies create "$name" --owner-name Ann --email "ann@$name.example.com" --password-stdin

say "It uploads what it knows"
parley documents upload docs/tour/hours.txt docs/tour/prices.csv docs/tour/payment.md docs/tour/parking.docx docs/tour/emergencies.pdf
parley documents list
parley documents search "How much is a cleaning?"

say "It makes an agent and lets callers hear it"
agent=$(parley agents create "Front desk" --greeting "Hello." --passages 1 --json | field '["id"]')
parley agents publish "$agent"

say "It calls it, a question for each document, and follows the call"
call=$(parley agents test-call "$agent" --json)
id=$(field '["call_id"]' <<<"$call")
wavs=engine/simulator/recordings
parley call --url "$(field '["url"]' <<<"$call")" --wav $wavs/demo-saturday.wav $wavs/demo-cleaning.wav \
  $wavs/demo-parking.wav $wavs/demo-toothache.wav $wavs/heldout-20.wav >"$here/call.txt" &
calling=$!
until parley calls list --json | grep -q "\"$id\""; do kill -0 $calling || fail "the call did not begin"; done
parley calls follow "$id" | tee "$here/followed.txt"
wait $calling || { cat "$here/call.txt"; fail "the call failed"; }

say "It reads what was said"
parley calls transcript "$id" | tee "$here/transcript.txt"
for words in "9" "85" "behind" "before 9|same day" "card|cash"; do
  grep -qE "^agent: .*($words)" "$here/transcript.txt" || fail "no answer with '$words' in the transcript"
  grep -qE "$words" "$here/followed.txt" || fail "'$words' was not seen while the call went on"
done

say "Another company sees none of it"
mine=$(parley companies list --json | field '[0]["id"]')
export XDG_CONFIG_HOME=$here/other
echo "a long password" | parley companies create "other$name" --owner-name Eve --email "eve@$name.example.com" --password-stdin
[ "$(parley calls list --json | field '.__len__()')" = 0 ] || fail "another company's calls are listed"
[ "$(parley documents list --json | field '.__len__()')" = 0 ] || fail "another company's documents are listed"
parley documents search cleaning --json | grep -q 85 && fail "another company's passages are found"
for command in "calls show $id" "calls transcript $id" "calls follow $id" "documents list" "agents list"; do
  parley $command --company "$mine" 2>"$here/refused.txt" && fail "parley $command shows another company's"
  grep -q "there is no" "$here/refused.txt" || fail "parley $command: $(cat "$here/refused.txt")"
done
say "That was the tour"
