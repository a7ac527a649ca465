"""Video: frames, faces, mouth crops, alignment with sound."""

from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.frames import has_video
from minvae_pyro.video.lips import load_lips
from minvae_pyro.video.mouth import read_mouth
from minvae_pyro.video.sheet import contact_sheet
from minvae_pyro.video.track import MOUTH_SIDE, MouthTrack

__all__ = ["MOUTH_SIDE", "MouthTrack", "align_mouth", "contact_sheet", "has_video", "load_lips", "read_mouth"]
