"""The image networks of keras.applications as backbones: what Keras knows of them is asked of Keras.

Keras gives the builder, the preprocessing, and where the weights lie with their md5. The table says what Keras does not
tell: lengths, stages, licences, and what a rerun needs to know without loading Keras.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlob.features.backbone import Backbone, Download, late

if TYPE_CHECKING:
    import keras

MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos, pixels from 0 to 1


class _Asked(Exception):
    """What Keras would have downloaded."""


def address(class_name: str, side: int) -> tuple[str, str]:
    """Ask Keras where the weights of a network without its top lie: URL, and md5, empty where it has none.

    Keras tells them to its function for downloads alone, so that one is put in its place; the network is built for it,
    for photos of the side of these weights.
    """
    import keras
    from keras.src.utils import file_utils  # by whose name the applications call the function

    def tell(name: str, url: str, file_hash: str | None = None, **others: Any) -> None:
        raise _Asked(url, file_hash or "")

    before, file_utils.get_file = file_utils.get_file, tell
    try:
        getattr(keras.applications, class_name)(weights="imagenet", include_top=False, input_shape=(side, side, 3))
    except _Asked as told:
        url, md5 = told.args
        return url, md5
    finally:
        file_utils.get_file = before
    raise AssertionError(f"Keras built {class_name} without a download")


def by_imagenet(pixels: Any) -> Any:
    """Standardise each channel by the mean and deviation of ImageNet's photos."""
    import keras

    return keras.applications.imagenet_utils.preprocess_input(pixels, mode="torch")


def by_128(pixels: Any) -> Any:
    """Scale pixels to -1 and nearly 1, as EfficientNetV2-S, -M and -L do."""
    return pixels / 128.0 - 1.0


def before_efficientnet(pixels: Any) -> Any:
    """Give pixels of which the normalisation inside of EfficientNet makes standardised ones.

    Its weights hold deviations in place of variances, so that its layer divides by their roots. Keras puts a second
    division behind that layer where it loads the weights itself (tensorflow issue 49930); here it stands before it.
    """
    import keras

    roots = [deviation**0.5 for deviation in DEVIATIONS]
    offsets = [255 * mean * (1 - 1 / root) for mean, root in zip(MEANS, roots, strict=True)]
    return keras.layers.Rescaling([1 / root for root in roots], offsets, dtype="float32")(pixels)


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks of one kind in keras.applications.

    Attributes:
        preprocess: as of `Backbone`.
        file: name of a weights file in Keras's cache; {name} is ours, {lower} that of Keras's class in lower case,
            {size} what stands behind the last _ of ours.
        licence: of the weights.
        options: of the builders.
        least: as of `Backbone`.
    """

    preprocess: Callable[[Any], Any]
    file: str
    licence: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    least: int = 32


def _own(module: str) -> Callable[[Any], Any]:
    """Give the preprocessing of a module whose networks have none inside."""
    return late(f"keras.applications.{module}", "preprocess_input")


_NOTOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
_OUTSIDE = {"include_preprocessing": False}  # which is part of the network else, in the network's precision
BY_127 = _own("mobilenet_v2")

# fmt: off
CONVNEXT = Family(by_imagenet, "{name}_notop.h5", "MIT", _OUTSIDE)
DENSENET = Family(_own("densenet"), "{lower}" + _NOTOP, "BSD 3-clause")
EFFICIENTNET = Family(before_efficientnet, "{lower}_notop.h5", "Apache 2.0")
EFFICIENTNET_V2 = Family(by_128, "efficientnetv2-{size}_notop.h5", "Apache 2.0", _OUTSIDE)
EFFICIENTNET_V2_B = dataclasses.replace(EFFICIENTNET_V2, preprocess=by_imagenet)
INCEPTION = Family(_own("inception_v3"), "{name}" + _NOTOP, "Apache 2.0", least=75)
INCEPTION_RESNET = dataclasses.replace(INCEPTION, preprocess=_own("inception_resnet_v2"))
MOBILENET = Family(_own("mobilenet"), "mobilenet_1_0_224_tf_no_top.h5", "Apache 2.0")
MOBILENET_V2 = Family(
    _own("mobilenet_v2"), "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", "Apache 2.0"
)
MOBILENET_V3 = Family(BY_127, "weights_mobilenet_v3_{size}_224_1.0_float_no_top_v2.h5", "Apache 2.0", _OUTSIDE)
NASNET = Family(_own("nasnet"), "{name}_no_top.h5", "Apache 2.0")
RESNET = Family(_own("resnet"), "{lower}" + _NOTOP, "MIT")
RESNET_V2 = Family(_own("resnet_v2"), "{lower}" + _NOTOP, "BSD 3-clause")
VGG = Family(_own("vgg16"), "{lower}" + _NOTOP, "CC BY")
XCEPTION = Family(_own("xception"), "{lower}" + _NOTOP, "MIT", least=71)

CUTS = {  # of networks whose layers at the ends of stages are counted by Keras, or are none
    **{
        name: {f"stage_{number}": f"{name}_downsampling_block_{number}" for number in range(3)}
        for name in ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large", "convnext_xlarge")
    },
    "xception": {
        "add": "block3_sepconv1_act", "add_1": "block4_sepconv1_act", "add_2": "block5_sepconv1_act",
        "add_10": "block13_sepconv1_act", "add_11": "block14_sepconv1",
    },
}

# Name, family, class in keras.applications, side of the photos of its weights, length, parameters in millions, GFLOP of
# such a photo, stages. The last two numbers: python -m benchmarks.backbones
ROWS: tuple[tuple[str, Family, str, int, int, float, float, str], ...] = (
    ("convnext_tiny", CONVNEXT, "ConvNeXtTiny", 224, 768, 27.8, 8.9, "stage_0 stage_1 stage_2 last"),
    ("convnext_small", CONVNEXT, "ConvNeXtSmall", 224, 768, 49.5, 17.4, "stage_0 stage_1 stage_2 last"),
    ("convnext_base", CONVNEXT, "ConvNeXtBase", 224, 1024, 87.6, 30.7, "stage_0 stage_1 stage_2 last"),
    ("convnext_large", CONVNEXT, "ConvNeXtLarge", 224, 1536, 196.2, 68.7, "stage_0 stage_1 stage_2 last"),
    ("convnext_xlarge", CONVNEXT, "ConvNeXtXLarge", 224, 2048, 348.1, 121.8, "stage_0 stage_1 stage_2 last"),
    ("densenet121", DENSENET, "DenseNet121", 224, 1024, 7.0, 5.7,
     "conv2_block6_concat conv3_block12_concat conv4_block24_concat relu"),
    ("densenet169", DENSENET, "DenseNet169", 224, 1664, 12.6, 6.7,
     "conv2_block6_concat conv3_block12_concat conv4_block32_concat relu"),
    ("densenet201", DENSENET, "DenseNet201", 224, 1920, 18.3, 8.6,
     "conv2_block6_concat conv3_block12_concat conv4_block48_concat relu"),
    ("efficientnet_b0", EFFICIENTNET, "EfficientNetB0", 224, 1280, 4.0, 0.8,
     "block2b_add block3b_add block5c_add top_activation"),
    ("efficientnet_b1", EFFICIENTNET, "EfficientNetB1", 240, 1280, 6.6, 1.4,
     "block2c_add block3c_add block5d_add top_activation"),
    ("efficientnet_b2", EFFICIENTNET, "EfficientNetB2", 260, 1408, 7.8, 2.0,
     "block2c_add block3c_add block5d_add top_activation"),
    ("efficientnet_b3", EFFICIENTNET, "EfficientNetB3", 300, 1536, 10.8, 3.7,
     "block2c_add block3c_add block5e_add top_activation"),
    ("efficientnet_b4", EFFICIENTNET, "EfficientNetB4", 380, 1792, 17.7, 8.8,
     "block2d_add block3d_add block5f_add top_activation"),
    ("efficientnet_b5", EFFICIENTNET, "EfficientNetB5", 456, 2048, 28.5, 20.5,
     "block2e_add block3e_add block5g_add top_activation"),
    ("efficientnet_b6", EFFICIENTNET, "EfficientNetB6", 528, 2304, 41.0, 38.1,
     "block2f_add block3f_add block5h_add top_activation"),
    ("efficientnet_b7", EFFICIENTNET, "EfficientNetB7", 600, 2560, 64.1, 75.5,
     "block2g_add block3g_add block5j_add top_activation"),
    ("efficientnet_v2_b0", EFFICIENTNET_V2_B, "EfficientNetV2B0", 224, 1280, 5.9, 1.4,
     "block1a_project_activation block2b_add block3b_add block5e_add block6h_add top_activation"),
    ("efficientnet_v2_b1", EFFICIENTNET_V2_B, "EfficientNetV2B1", 240, 1280, 6.9, 2.4,
     "block1b_add block2c_add block3c_add block5f_add block6i_add top_activation"),
    ("efficientnet_v2_b2", EFFICIENTNET_V2_B, "EfficientNetV2B2", 260, 1408, 8.8, 3.4,
     "block1b_add block2c_add block3c_add block5f_add block6j_add top_activation"),
    ("efficientnet_v2_b3", EFFICIENTNET_V2_B, "EfficientNetV2B3", 300, 1536, 12.9, 6.0,
     "block1b_add block2c_add block3c_add block5g_add block6l_add top_activation"),
    ("efficientnet_v2_s", EFFICIENTNET_V2, "EfficientNetV2S", 384, 1280, 20.3, 16.7,
     "block1b_add block2d_add block3d_add block5i_add block6o_add top_activation"),
    ("efficientnet_v2_m", EFFICIENTNET_V2, "EfficientNetV2M", 480, 1280, 53.2, 49.2,
     "block1c_add block2e_add block3e_add block5n_add block6r_add block7e_add top_activation"),
    ("efficientnet_v2_l", EFFICIENTNET_V2, "EfficientNetV2L", 480, 1280, 117.7, 112.2,
     "block1d_add block2g_add block3g_add block5s_add block6y_add block7g_add top_activation"),
    ("inception_resnet_v2", INCEPTION_RESNET, "InceptionResNetV2", 299, 1536, 54.3, 26.3,
     "block35_10_ac block17_20_ac conv_7b_ac"),
    ("inception_v3", INCEPTION, "InceptionV3", 299, 2048, 21.8, 11.4, "mixed2 mixed7 mixed10"),
    ("mobilenet", MOBILENET, "MobileNet", 224, 1024, 3.2, 1.1,
     "conv_pw_1_relu conv_pw_3_relu conv_pw_5_relu conv_pw_11_relu conv_pw_13_relu"),
    ("mobilenet_v2", MOBILENET_V2, "MobileNetV2", 224, 1280, 2.3, 0.6, "block_2_add block_5_add block_12_add out_relu"),
    ("mobilenet_v3_large", MOBILENET_V3, "MobileNetV3Large", 224, 960, 3.0, 0.4,
     "expanded_conv_2_add expanded_conv_5_add expanded_conv_11_add last"),
    ("mobilenet_v3_small", MOBILENET_V3, "MobileNetV3Small", 224, 576, 0.9, 0.1,
     "expanded_conv_project_bn expanded_conv_2_add expanded_conv_7_add last"),
    ("nasnet_large", NASNET, "NASNetLarge", 331, 4032, 84.9, 47.6, "normal_concat_5 normal_concat_12 last"),
    ("nasnet_mobile", NASNET, "NASNetMobile", 224, 1056, 4.3, 1.1, "normal_concat_3 normal_concat_8 last"),
    ("resnet50", RESNET, "ResNet50", 224, 2048, 23.6, 7.7,
     "conv2_block3_out conv3_block4_out conv4_block6_out conv5_block3_out"),
    ("resnet101", RESNET, "ResNet101", 224, 2048, 42.7, 15.1,
     "conv2_block3_out conv3_block4_out conv4_block23_out conv5_block3_out"),
    ("resnet152", RESNET, "ResNet152", 224, 2048, 58.4, 22.6,
     "conv2_block3_out conv3_block8_out conv4_block36_out conv5_block3_out"),
    ("resnet50_v2", RESNET_V2, "ResNet50V2", 224, 2048, 23.6, 7.0,
     "conv2_block3_out conv3_block4_out conv4_block6_out post_relu"),
    ("resnet101_v2", RESNET_V2, "ResNet101V2", 224, 2048, 42.6, 14.4,
     "conv2_block3_out conv3_block4_out conv4_block23_out post_relu"),
    ("resnet152_v2", RESNET_V2, "ResNet152V2", 224, 2048, 58.3, 21.8,
     "conv2_block3_out conv3_block8_out conv4_block36_out post_relu"),
    ("vgg16", VGG, "VGG16", 224, 512, 14.7, 30.7, "block1_pool block2_pool block3_pool block4_pool block5_pool"),
    ("vgg19", VGG, "VGG19", 224, 512, 20.0, 39.0, "block1_pool block2_pool block3_pool block4_pool block5_pool"),
    ("xception", XCEPTION, "Xception", 299, 2048, 20.9, 16.7, "add add_1 add_2 add_10 add_11 block14_sepconv2_act"),
)
# fmt: on


def _backbone(
    name: str, family: Family, class_name: str, side: int, length: int, parameters: float, gflop: float, stages: str
) -> Backbone:
    builder = late("keras.applications", class_name, weights=None, include_top=False, **family.options)

    def build(pixels: int) -> keras.Model:
        return builder(input_shape=(pixels, pixels, 3))

    file = family.file.format(name=name, lower=class_name.lower(), size=name.rsplit("_", 1)[-1])
    return Backbone(
        build,
        family.preprocess,
        length,
        tuple(stages.split()),
        Download(file, lambda: address(class_name, side)),
        family.licence,
        CUTS.get(name, {}),
        side=side,
        least=family.least,
        parameters=parameters,
        gflop=gflop,
    )


APPLICATIONS = {row[0]: _backbone(*row) for row in ROWS}
