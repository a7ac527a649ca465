# The public names of the package, each where it is defined: read by type checkers, and by lazy_loader when it runs.
from .audio.files import Sound as Sound, read_sound as read_sound, write_sound as write_sound
from .checkpoints.checkpoint import (
    Checkpoint as Checkpoint,
    load_checkpoint as load_checkpoint,
    save_checkpoint as save_checkpoint,
    shipped as shipped,
)
from .enhancement.enhance import Enhancement as Enhancement, enhance as enhance
from .enhancement.ledger import Outcome as Outcome
from .enhancement.many import enhance_many as enhance_many
from .enhancement.output import write_enhancement as write_enhancement
from .enhancement.streaming import SpeechStream as SpeechStream, enhance_stream as enhance_stream
from .enhancement.utterances import Utterances as Utterances
from .errors import UserError as UserError
from .inference.infer import Inference as Inference, infer as infer
from .training.run import train as train
from .version import __version__ as __version__
