"""CRC-32, zlib's: by isal where it is installed, which takes a tenth of the time."""

try:
    from isal.isal_zlib import crc32
except ModuleNotFoundError:
    from zlib import crc32

__all__ = ["crc32"]
