"""Which locale speaks a language that is named without one, for vendors whose voices belong to locales."""

from __future__ import annotations

from collections.abc import Mapping

_LOCALES: Mapping[str, str] = {
    "ar": "ar-EG", "bn": "bn-IN", "cs": "cs-CZ", "da": "da-DK", "de": "de-DE", "el": "el-GR",
    "en": "en-US", "es": "es-ES", "et": "et-EE", "fi": "fi-FI", "fr": "fr-FR", "gu": "gu-IN",
    "he": "he-IL", "hi": "hi-IN", "hr": "hr-HR", "hu": "hu-HU", "id": "id-ID", "it": "it-IT",
    "ja": "ja-JP", "kn": "kn-IN", "ko": "ko-KR", "lt": "lt-LT", "lv": "lv-LV", "ml": "ml-IN",
    "mr": "mr-IN", "nb": "nb-NO", "nl": "nl-NL", "no": "nb-NO", "pl": "pl-PL", "pt": "pt-BR",
    "ro": "ro-RO", "ru": "ru-RU", "sk": "sk-SK", "sl": "sl-SI", "sr": "sr-RS", "sv": "sv-SE",
    "sw": "sw-KE", "ta": "ta-IN", "te": "te-IN", "th": "th-TH", "tr": "tr-TR", "uk": "uk-UA",
    "ur": "ur-PK", "vi": "vi-VN", "zh": "zh-CN",
}  # fmt: skip


def other_locale(voice: str, language: str, named: Mapping[str, str] | None = None) -> str:
    """The locale that `language` asks for, if the voice's is another; "" if it is not, or is not known.

    `voice` begins with its own locale: `en-US-...`. A tag with a region asks for just that; `en` alone is
    content with any English voice. `named`: what the vendor calls a language or locale where that differs.
    """
    known = named or {}
    wanted = known.get(language) or (language if "-" in language else _LOCALES.get(language, ""))
    if "-" in language:
        return "" if voice.startswith(f"{wanted}-") else wanted
    return "" if language_of(voice) == language_of(wanted) else wanted


def language_of(tag: str) -> str:
    """`de` of `de-AT`."""
    return tag.partition("-")[0].lower()
