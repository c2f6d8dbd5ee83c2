"""MediaPipe's PoseLandmarker on person crops, and the bundle of models that it runs.

A bundle holds two networks: one that says where in an image a person is, and one that finds the
landmarks of the person in such a region. A detector has said where persons are, so that the first
one is asked only where the second sees nobody in the region that a box gives.

The bundle is put together from the models inside a mediapipe wheel, because a wheel comes from
wherever every other dependency comes from.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import cv2
import flatbuffers
import mediapipe
import numpy as np
from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
from mediapipe.tasks.metadata import schema_py_generated as tflite_schema
from numpy.typing import NDArray

from yololstm.errors import WeightsError
from yololstm.skeleton import MEDIAPIPE, N_JOINTS
from yololstm.storage import sha256

_MARGIN: Final = 0.05
"""Of the box's height, on each of its sides."""
_GREY: Final = (128, 128, 128)
_MIN_CONFIDENCE: Final = 0.3
_DAMAGED: Final = (
    *(IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError),
    *(struct.error, zipfile.BadZipFile),
)
"""What taking a bundle apart and loading it raise for what is none."""
_SILENCING: Final = threading.Lock()
_MIN_SIDE: Final = 8
"""Pixels of a crop; nobody's joints can be told apart in fewer."""
_REGION: Final = 1.125
"""Sides of the region in which landmarks are looked for, by those of the crop. On drawn and on real
people 1 to 1.4 do about as well; towards 1 the joints of whole persons are a little more exact, and
towards 1.4 more of those are found of whom a counter hides half."""


class _Landmarker(mediapipe.tasks.vision.PoseLandmarker):  # type: ignore[misc]
    """Closed by hand, or by the end of the process. The library's own __del__ fails there with a
    traceback, because the threads that it would close itself on have ended by then."""

    _talkative = True

    def find(self, image: mediapipe.Image) -> list[Any] | None:
        """The normalized landmarks of one person."""
        # It has one more thing to say about its graph at the first pose that it finds.
        with _silent_stderr() if self._talkative else contextlib.nullcontext():
            found = self.detect(image).pose_landmarks
        self._talkative = self._talkative and not found
        return found[0] if found else None

    def __del__(self) -> None:
        pass


class MediaPipePose:
    """A PoseBackend. Deterministic, and single-threaded: spread it over processes.

    Each box is cut out of the frame with a margin and padded to a square, so that the landmarker
    sees one whole upright person and nobody else: on the full frame of a shop camera it misses
    most of them.
    """

    def __init__(self, model: Path) -> None:
        """Raises WeightsError where the bundle is absent or cannot be loaded."""
        try:
            self._landmarkers = [
                _landmarker(model_asset_buffer=_without_search(model.read_bytes())),
                # Mapped into memory, not copied.
                _landmarker(model_asset_path=str(model)),
            ]
        except _DAMAGED as error:
            raise WeightsError(
                model, f"no PoseLandmarker bundle ({error})", "Run yololstm models fetch"
            ) from error
        self.name = f"mediapipe {mediapipe.__version__} {model.stem} {sha256(model)[:8]}"

    def __call__(
        self, image: NDArray[np.uint8], box: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        xy = np.full((len(box), N_JOINTS, 2), np.nan, dtype=np.float32)
        confidence = np.zeros((len(box), N_JOINTS), dtype=np.float32)
        for row, one in enumerate(box):
            cut = _square_crop(image, one)
            if cut is None:
                continue
            crop, origin = cut
            keypoints = self._detect(crop)
            if keypoints is None:
                continue
            joints = keypoints[MEDIAPIPE]
            xy[row] = joints[:, :2] * len(crop) + origin
            confidence[row] = joints[:, 2]
        absent = confidence <= 0
        xy[absent] = np.nan
        return xy, confidence

    def close(self) -> None:
        for landmarker in self._landmarkers:
            landmarker.close()

    def _detect(self, crop: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """(33, 3) x and y in 0..1 of the square crop, and visibility in 0..1."""
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=crop)
        for landmarker in self._landmarkers:
            if found := landmarker.find(image):
                points = [(p.x, p.y, p.visibility) for p in found]
                return np.nan_to_num(np.array(points, dtype=np.float64)).clip(_LOWEST, _HIGHEST)
        return None


# A keypoint outside the crop is a guess; one further away than the crop is large is none.
_LOWEST: Final = (-1.0, -1.0, 0.0)
_HIGHEST: Final = (2.0, 2.0, 1.0)


def _landmarker(**bundle: str | bytes) -> _Landmarker:
    """bundle: the one argument of BaseOptions that says where it is."""
    vision = mediapipe.tasks.vision
    options = vision.PoseLandmarkerOptions(
        base_options=mediapipe.tasks.BaseOptions(**bundle),
        running_mode=vision.RunningMode.IMAGE,
        num_poses=1,
        min_pose_detection_confidence=_MIN_CONFIDENCE,
    )
    with _silent_stderr():
        made = vision.PoseLandmarker.create_from_options(options)
    made.__class__ = _Landmarker
    return cast(_Landmarker, made)


def _square_crop(
    image: NDArray[np.uint8], box: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]] | None:
    """The box with its margin, cut to the frame and padded with grey to a square.

    Returns the crop and where its top left corner lies in pixels of the image.
    """
    height, width = image.shape[:2]
    margin = _MARGIN * (box[3] - box[1])
    x0, y0 = (max(0, int(side - margin)) for side in box[:2])
    x1, y1 = min(width, int(box[2] + margin)), min(height, int(box[3] + margin))
    if min(x1 - x0, y1 - y0) < _MIN_SIDE:
        return None
    side = max(x1 - x0, y1 - y0)
    left, top = (side - (x1 - x0)) // 2, (side - (y1 - y0)) // 2
    crop = cv2.copyMakeBorder(
        image[y0:y1, x0:x1],
        *(top, side - (y1 - y0) - top, left, side - (x1 - x0) - left),
        borderType=cv2.BORDER_CONSTANT,
        value=_GREY,
    )
    return np.asarray(crop, dtype=np.uint8), np.array([x0 - left, y0 - top], dtype=np.float64)


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what the C++ library prints while it builds its graph; it has no switch for that.

    One thread after the other: stderr is the whole process's.
    """
    with _SILENCING:
        sys.stderr.flush()
        stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            os.close(nowhere)


# --- the bundle ---

_POSE_DETECTOR: Final = "mediapipe/modules/pose_detection/pose_detection.tflite"
_POSE_LANDMARKS: Final = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
_DETECTOR: Final = "pose_detector.tflite"
_LANDMARKS: Final = "pose_landmarks_detector.tflite"
_CERTAIN: Final = 50.0
"""A logit."""
_CELL: Final = 8
"""Pixels of the detector's input: what its first anchors are apart."""
_SIDES: Final = 2.5
"""Of a region, by the distance of the two keypoints that it is made of."""
_OUTPUTS: Final = ("landmarks", "pose_flag", "segmentation", "heatmap", "world_landmarks")
_ALIGNMENT: Final = 16
"""Bytes; the models are mapped into memory where they lie in the bundle."""
_LOCAL_HEADER: Final = 30
"""Bytes before an entry's name."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def build_bundle(wheel: Path, out: Path) -> None:
    """Write the PoseLandmarker bundle (.task) of the models in a mediapipe 0.10.21 wheel.

    The same wheel gives the same bytes. Raises WeightsError where the wheel lacks the models.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            detector, landmarks = archive.read(_POSE_DETECTOR), archive.read(_POSE_LANDMARKS)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(
            wheel, f"not a wheel with the pose models ({error})", "Fetch mediapipe 0.10.21"
        ) from error
    _write_aligned(
        out,
        {
            _DETECTOR: detector,
            # The wheel's own graphs know how to scale its input; the bundle must say it.
            _LANDMARKS: _with_metadata(landmarks, _image_in_0_to_1()),
        },
    )


def _without_search(bundle: bytes) -> bytes:
    """The same, with a detector that computes nothing: it finds one upright person who fills the
    image."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        detector, landmarks = archive.read(_DETECTOR), archive.read(_LANDMARKS)
    out = io.BytesIO()
    _write_aligned(out, {_DETECTOR: _constant(detector), _LANDMARKS: landmarks})
    return out.getvalue()


def _constant(detector: bytes) -> bytes:
    """A pose detector with the input, outputs and metadata of a real one, but constant outputs.

    What the outputs mean, and the anchors that they are relative to: pose_detector_graph.cc of
    MediaPipe Tasks; how a region is made of two keypoints, the middle of the hips and one above it,
    and not of the box: AlignmentPointsRectsCalculator there.
    """
    model = tflite_schema.ModelT.InitFromObj(tflite_schema.Model.GetRootAsModel(detector, 0))
    graph = model.subgraphs[0]
    kept = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    image, regions, scores = kept
    (_, side, _, _), (_, n_anchors, _) = image.shape, regions.shape
    region = np.zeros(regions.shape, dtype=np.float32)
    region[0, 0, :4] = *_relative(0.5, 0.5, side), side, side
    region[0, 0, 4:6] = _relative(0.5, 0.5, side)
    region[0, 0, 6:8] = _relative(0.5, 0.5 - _REGION / _SIDES, side)
    score = np.full((1, n_anchors, 1), -_CERTAIN, dtype=np.float32)
    score[0, 0] = _CERTAIN
    said = [model.buffers[entry.buffer] for entry in model.metadata]
    empty, *constants = [tflite_schema.BufferT() for _ in range(3)]
    constants[0].data, constants[1].data = (
        np.frombuffer(values.tobytes(), dtype=np.uint8) for values in (region, score)
    )
    model.buffers = [empty, *constants, *said]
    image.buffer, regions.buffer, scores.buffer = 0, 1, 2
    for i, entry in enumerate(model.metadata):
        entry.buffer = 1 + len(constants) + i
    graph.tensors, graph.inputs, graph.outputs, graph.operators = kept, [0], [1, 2], []
    model.operatorCodes = []
    return _packed(model, b"TFL3", 2 * (region.nbytes + score.nbytes))


def _relative(x: float, y: float, side: int) -> tuple[float, float]:
    """A place in 0..1 of the image as the first anchor says it, in the middle of its cell."""
    anchor = 0.5 * _CELL / side
    return (x - anchor) * side, (y - anchor) * side


def _image_in_0_to_1() -> bytes:
    """Model metadata that says: the input is RGB, divided by 255."""
    normalization = schema.NormalizationOptionsT()
    normalization.mean, normalization.std = [0.0], [255.0]
    unit = schema.ProcessUnitT()
    unit.optionsType = schema.ProcessUnitOptions.NormalizationOptions
    unit.options = normalization
    content = schema.ContentT()
    content.contentPropertiesType = schema.ContentProperties.ImageProperties
    content.contentProperties = schema.ImagePropertiesT()
    content.contentProperties.colorSpace = schema.ColorSpaceType.RGB
    graph = schema.SubGraphMetadataT()
    graph.inputTensorMetadata = [_tensor("image")]
    graph.inputTensorMetadata[0].content = content
    graph.inputTensorMetadata[0].processUnits = [unit]
    graph.outputTensorMetadata = [_tensor(name) for name in _OUTPUTS]
    model = schema.ModelMetadataT()
    model.name, model.minParserVersion = "pose landmark full", "1.0.0"
    model.subgraphMetadata = [graph]
    return _packed(model, b"M001", 0)


def _tensor(name: str) -> Any:
    tensor = schema.TensorMetadataT()
    tensor.name = name
    return tensor


def _with_metadata(tflite: bytes, metadata: bytes) -> bytes:
    model = tflite_schema.ModelT.InitFromObj(tflite_schema.Model.GetRootAsModel(tflite, 0))
    buffer = tflite_schema.BufferT()
    buffer.data = list(metadata)
    model.buffers.append(buffer)
    entry = tflite_schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return _packed(model, b"TFL3", len(tflite) + 65536)


def _packed(table: Any, identifier: bytes, size: int) -> bytes:
    builder = flatbuffers.Builder(size)
    builder.Finish(table.Pack(builder), identifier)
    return bytes(builder.Output())


def _write_aligned(out: Path | BinaryIO, entries: dict[str, bytes]) -> None:
    """A zip of uncompressed files, each of which starts at a multiple of _ALIGNMENT."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix: the same bytes on every system
            # zipfile has no call for a gap before an entry; start_dir is where it writes the next.
            assert archive.fp is not None
            archive.fp.write(bytes(-(archive.fp.tell() + _LOCAL_HEADER + len(name)) % _ALIGNMENT))
            archive.start_dir = archive.fp.tell()
            archive.writestr(info, data)
