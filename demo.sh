#!/usr/bin/env bash
# The whole journey on the sample pictures: describe, embed, search. Needs Python 3.11+; run it again at any time.
set -euo pipefail
cd "$(dirname "$0")"
./install.sh requirements.txt requirements-offline.txt
catalog=demo/images.db
some_failed=1 cannot_go_on=3 # exit codes of index_images.py
mkdir -p demo

step() {
    printf '\n$ python'
    for word in "$@"; do case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac; done
    printf '\n'
    .venv/bin/python "$@"
}

code=0
if [ -e "$catalog" ]; then
    step index_images.py samples -r --db "$catalog" || code=$? # the catalog remembers who describes
else
    step index_images.py samples -r --db "$catalog" --engine ollama || code=$?
fi
if [ "$code" -eq "$cannot_go_on" ]; then
    printf '\n%s\n%s\n' "No vision model answers here, so the captions that the samples carry serve as descriptions. To have a model" \
        "describe them: install Ollama, then  ollama pull gemma3:4b && rm -r demo && ./demo.sh"
    code=0
    step index_images.py samples -r --db "$catalog" --engine captions || code=$?
fi
case $code in
0) ;;
"$some_failed") printf '\nThe pictures named above have no description; on with the others.\n' ;;
*) exit "$code" ;; # stopped by Ctrl-C, disk full, ...: going on would hide it
esac
step index_images.py --status --db "$catalog"
step create_faiss_index.py --db "$catalog"
for query in "горы на закате" "a cat" "зима Сочи canon"; do
    step search_images.py "$query" --db "$catalog" -n 3
done

cat <<'END'

That was it. Now your own pictures:
  source .venv/bin/activate
  ollama pull gemma3:4b                      # once: a vision model
  python index_images.py ~/Pictures -r       # describe; stop it at any time, run it again to go on
  python create_faiss_index.py
  python search_images.py "what you look for"
  python browse_images.py                    # the same as a page in the browser; of these samples: --db demo/images.db
END
