"""Store voices for later: add, list, show or remove recordings that models of zero-shot speech imitate."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.errors import DataError, counted

if TYPE_CHECKING:
    from amphion_tts.prompts import CheckedPrompt
    from amphion_tts.voices import StoredVoice

EPILOG = """examples:
  amphion voice add anna recording.wav --text "Good morning to all of you."
  amphion tts "Any sentence you like." --prompt anna --model MODEL"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion voice``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="add, list, info or remove")
    new = actions.add_parser("add", help="store a recording of 3 to 10 seconds under a name, which --prompt then takes")
    new.add_argument("name", help="name of the voice: letters, digits, - and _")
    new.add_argument("recording", help="audio file in which one person speaks; longer ones are cut at a pause")
    new.add_argument("--text", help="what is said in it; without it a recogniser finds it out (needs amphion-eval)")
    new.add_argument("--language", default="en", help="language code of what is said (en)")
    shown = actions.add_parser("list", help="names of the stored voices, with their seconds and texts")
    shown.add_argument("--json", action="store_true", help="print them as JSON")
    about = actions.add_parser("info", help="where a voice is, what is said in it, and when it was added")
    about.add_argument("name", help="name of the voice")
    about.add_argument("--json", action="store_true", help="print it as JSON")
    gone = actions.add_parser("remove", help="delete a stored voice")
    gone.add_argument("name", help="name of the voice")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry out the action."""
    from amphion_tts import voices

    if args.action == "add":
        return _add(args)
    if args.action == "list":
        return _list(as_json=args.json)
    if args.action == "info":
        found = _plain(voices.load(args.name))
        print(json.dumps(found, ensure_ascii=False) if args.json else _lines(found))
        return 0
    voices.remove(args.name)
    print(f"removed the voice {voices.check_name(args.name)}")
    return 0


def _add(args: argparse.Namespace) -> int:
    from amphion_core.api import Audio
    from amphion_tts import voices
    from amphion_tts.prompts import checked_prompt

    key = voices.check_name(args.name)
    if key in voices.names():
        raise DataError(f"there is a stored voice {key!r} already", hint=f"amphion voice remove {key}, or another name")
    prompt = _with_text(checked_prompt(Audio.load(args.recording), args.text), args.language)
    for note in prompt.notes:
        print(f"note: {note}", file=sys.stderr)
    if prompt.is_transcript:
        print(f'note: the recogniser heard: "{prompt.text}"; if it is wrong, add it again with --text', file=sys.stderr)
    voice = voices.add(
        key, prompt.audio, text=prompt.text or "", language=args.language, is_transcript=prompt.is_transcript,
        source=str(Path(args.recording).absolute()),
    )  # fmt: skip
    print(voices.STATEMENT, file=sys.stderr)
    print(f"added the voice {key}: {voice.duration:.1f} s in {voices.folder() / key}; use it: --prompt {key}")
    return 0


def _with_text(prompt: "CheckedPrompt", language: str) -> "CheckedPrompt":
    """``prompt`` with its text; without it where no recogniser can find it out, which some models do not need."""
    from amphion_tts.prompts import transcribed

    try:
        return transcribed(prompt, language)
    except DataError as error:
        print(f"note: the voice is stored without its text: {error.message}; to state it: --text", file=sys.stderr)
        return prompt


def _list(*, as_json: bool) -> int:
    from amphion_tts import voices

    rows = []
    for name in voices.names():
        try:
            rows.append(_plain(voices.load(name)))
        except DataError as error:
            print(f"note: {error.message}; {error.hint}", file=sys.stderr)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
    elif rows:
        for row in rows:
            print("\t".join((row["name"], f"{row['duration']:.1f} s", row["language"], row["text"])).rstrip())
        print(f"{counted(len(rows), 'voice')} in {voices.folder()}", file=sys.stderr)
    else:
        print(f"no stored voices in {voices.folder()}; amphion voice add NAME recording.wav", file=sys.stderr)
    return 0


def _plain(voice: "StoredVoice") -> dict[str, Any]:
    from amphion_tts.voices import RECORDING, folder

    file = str(folder() / voice.name / RECORDING)
    return (voice.about or {}) | {"file": file, "duration": voice.duration, "sample_rate": voice.sample_rate}


def _lines(found: dict[str, Any]) -> str:
    text = f'"{found["text"]}"' if found["text"] else "not known; a model that needs it asks a recogniser"
    heard = ", as a recogniser heard it" if found.get("is_transcript") else ""
    return "\n".join(
        (
            f"voice      {found['name']}",
            f"recording  {found['file']}: {found['duration']:.1f} s at {found['sample_rate']} Hz",
            f"text       {text}{heard}",
            f"language   {found['language']}",
            f"added      {found.get('added', 'at an unknown time')}, from {found.get('source') or 'an unknown file'}",
        )
    )
