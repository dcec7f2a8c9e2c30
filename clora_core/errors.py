"""Every error that is the user's to read, in one tree.

    StudioError
    |-- PictureError     a picture, or the set of them, cannot be learned from
    |-- ConceptError     a name, a token or a concept of the timeline is wrong
    |-- SettingsError    a setting is unknown, of the wrong type or out of range
    |-- ModelError       the base model cannot be found, read or used
    |-- StoreError       a timeline on disk cannot be read or written
    |   |-- DiskError            the disk refuses to be written to: it is full, or read-only
    |   `-- MissingMethodError   what is stored was learned with a method that is not installed
    |-- TrainingError    learning cannot go on (a loss that is not a number)
    |-- BusyError        the model is doing something else
    `-- Cancelled        the user stopped the work

`str(error)` is the whole message: what is wrong, the value, the remedy. They are raised in the
core and translated in two places, `demo/errors.py` and `clora_core/cli/commands.py` (exit code 2). Anything
else that is raised is a bug and shows its traceback.
"""


class StudioError(Exception):
    """Something the user can put right; the message says how."""


class PictureError(StudioError):
    """A picture, or the set of pictures of a concept, cannot be used."""


class ConceptError(StudioError):
    """A concept's name or token is malformed, taken or unknown."""


class SettingsError(StudioError):
    """A setting is unknown, of the wrong type or out of range."""


class ModelError(StudioError):
    """The base model is missing, unreadable or not of a supported kind."""


class StoreError(StudioError):
    """A timeline on disk cannot be read or written."""


class DiskError(StoreError):
    """The disk refuses to be written to: it is full, or read-only. What was there before is as it was."""


class MissingMethodError(StoreError):
    """What is stored was learned with a method of somebody else's that is not installed here."""


class TrainingError(StudioError):
    """Learning met a number that is not finite and stopped before it did harm."""


class BusyError(StudioError):
    """The model is at work on another job."""


class Cancelled(StudioError):
    """The user stopped the work; nothing of it is kept."""
