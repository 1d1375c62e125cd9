#!/usr/bin/env bash
# The whole journey on the sample pictures: describe, embed, search. Needs Python 3.11+; run it again at any time.
set -euo pipefail
cd "$(dirname "$0")"
./install.sh requirements.txt requirements-offline.txt
python=.venv/bin/python
catalog=demo/images.db
mkdir -p demo

step() {
    printf '\n$ python'
    for word in "$@"; do case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac; done
    printf '\n'
    "$python" "$@"
}

if [ -e "$catalog" ]; then
    step index_images.py samples -r --db "$catalog"
elif ! step index_images.py samples -r --db "$catalog" --engine ollama; then
    printf '\nNo vision model describes the pictures here, so the captions that the samples carry serve as descriptions:\n'
    step index_images.py samples -r --db "$catalog" --engine captions
fi
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
END
