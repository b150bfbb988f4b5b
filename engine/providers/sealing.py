"""Companies' own vendor keys: encrypted where they are kept, opened only where the vendor is asked.

Fernet (AES-128-CBC with HMAC-SHA256) from `cryptography`. PARLEY_KEY_ENCRYPTION_KEYS holds the keys to these
keys: the first seals, all open, so that another can be put in front (docs/providers.md).
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from engine.config import Settings
from engine.errors import ConfigurationError

MEND = "PARLEY_KEY_ENCRYPTION_KEYS: make one with `parley providers new-encryption-key`"


class Sealer:
    """Raises ConfigurationError where no key is set, or none of them fits."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.key_encryption_keys
        names = secret.get_secret_value().split(",") if secret is not None else []
        try:
            keys = [Fernet(name.strip()) for name in names if name.strip()]
        except ValueError:
            raise ConfigurationError(f"a key is not 32 bytes in URL-safe base64; {MEND}") from None
        self._fernet = MultiFernet(keys) if keys else None

    def seal(self, secret: str) -> str:
        return self._keys().encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        try:
            return self._keys().decrypt(sealed).decode()
        except InvalidToken:
            raise ConfigurationError(
                "a company's provider key was sealed with an encryption key that is no longer in "
                "PARLEY_KEY_ENCRYPTION_KEYS: put that one back, or have the company set its key again"
            ) from None

    def renew(self, sealed: str) -> str:
        """Sealed with the first key, whichever it was sealed with before."""
        return self.seal(self.open(sealed))

    def _keys(self) -> MultiFernet:
        if self._fernet is None:
            raise ConfigurationError(f"companies' own keys cannot be kept: set {MEND}")
        return self._fernet


def new_key() -> str:
    """A fresh encryption key."""
    return Fernet.generate_key().decode()
