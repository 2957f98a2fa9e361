"""The README.md beside a model: what it takes and gives, and ten lines of code that call it."""

import string

PYTHON = string.Template("""import json
import numpy as np
$imports
from PIL import Image, ImageOps

known = json.load(open("labels.json", encoding="utf-8"))
image = Image.open("photo.jpg")
image.draft("RGB", ($side, $side))  # a large JPEG is scaled down while it is decoded, as mlob does
image = ImageOps.exif_transpose(image)
if image.has_transparency_data:
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
photo = np.asarray(image.convert("RGB"))[np.newaxis]
$run
given = probabilities >= np.float32(known["thresholds"])
for columns in known["one_each"]:  # groups of which a photo gets the likeliest label
    given[columns] = np.arange(len(columns)) == probabilities[columns].argmax()
print({known["names"][i]: float(probabilities[i]) for i in np.flatnonzero(given)})
""")
JAVASCRIPT = string.Template("""$imports
const sharp = require("sharp"), known = require("./labels.json");
async function main() {
  const { data, info } = await sharp("photo.jpg").rotate().flatten({ background: "#fff" }).toColourspace("srgb").raw()
    .toBuffer({ resolveWithObject: true });
  const shape = [1, info.height, info.width, 3];
$run
  const given = known.thresholds.map((least, i) => probabilities[i] >= Math.fround(least));
  for (const columns of known.one_each) {  // groups of which a photo gets the likeliest label
    const best = columns.reduce((one, other) => (probabilities[other] > probabilities[one] ? other : one));
    columns.forEach((i) => { given[i] = i === best; });
  }
  console.log(known.names.filter((_, i) => given[i]));
}
main();
""")
IN_PYTHON = {  # what is installed; the imports; what gives the probabilities (labels,)
    "keras": (
        "keras tensorflow pillow",
        "import keras",
        'model = keras.saving.load_model("model.keras")\nprobabilities = np.asarray(model(photo))[0]',
    ),
    "onnx": (
        "onnxruntime pillow",
        "import onnxruntime",
        'session = onnxruntime.InferenceSession("model.onnx")\n'
        'probabilities = session.run(None, {"photo": photo})[0][0]',
    ),
    "openvino": (
        "openvino pillow",
        "import openvino",
        'exact = {"INFERENCE_PRECISION_HINT": "f32"}  # without it some processors compute in bfloat16\n'
        'model = openvino.Core().compile_model("model.xml", "CPU", exact)\n'
        "probabilities = model({0: photo})[0][0]",
    ),
    "litert": (
        "ai-edge-litert pillow",
        "from ai_edge_litert.interpreter import Interpreter",
        'model = Interpreter("model.tflite")\n'
        'model.resize_tensor_input(model.get_input_details()[0]["index"], photo.shape)\n'
        "model.allocate_tensors()\n"
        'model.set_tensor(model.get_input_details()[0]["index"], photo)\n'
        "model.invoke()\n"
        'probabilities = model.get_tensor(model.get_output_details()[0]["index"])[0]',
    ),
}
IN_JAVASCRIPT = {
    "onnx": (
        "onnxruntime-node sharp",
        'const ort = require("onnxruntime-node");',
        '  const session = await ort.InferenceSession.create("model.onnx");\n'
        '  const answer = await session.run({ photo: new ort.Tensor("uint8", data, shape) });\n'
        "  const probabilities = answer[session.outputNames[0]].data;",
    ),
}
README = string.Template("""# $title

$files: from one photo, uint8 (1, height, width, 3), RGB and upright, of any size, to $labels probabilities, float32
(1, $labels). Scaling, the white border and preprocessing are inside. labels.json names the labels in the order of the
probabilities, with their groups and thresholds; a label is given where its probability reaches its threshold, and in
each group of `one_each` the likeliest one is.

$figures
On $photos photos its probabilities are mlob's own on the same pixels within $largest, and its decisions are equal.
$predicted
Photos: transparent parts are white, and colours sRGB. A JPEG of more than twice $side pixels a side is to be scaled
down while it is decoded (`draft` below), as mlob does it; without that the answers are as good, but not the same. So it
is with photos more than twice as tall as wide, which Pillow scales in another order from its version 13 on. mlob
refuses blank photos; the model answers on them.

## Python

`pip install $pip`

```python
$python```

$other""")
JAVASCRIPT_PART = string.Template("""## JavaScript

`npm install $npm`

```javascript
$javascript```
""")
NO_OTHER = {
    "openvino": (
        "## Other languages\n\nOpenVINO runs in C++ and JavaScript, too: set INFERENCE_PRECISION_HINT to f32, as "
        "above. For C#\nexport onnx, whose README.md also has the lines in JavaScript.\n"
    ),
    "keras": "## Other languages\n\nPython alone reads Keras's own files: for JavaScript or C# export onnx.\n",
    "litert": (
        "## Other languages\n\nLiteRT runs in Java, Kotlin, Swift and C++: resize the input to (1, height, width, 3), "
        "allocate,\nset, invoke, as above. For JavaScript or C# export onnx, which has packages for both.\n"
    ),
}


def python(name: str, side: int) -> str:
    """Give the lines of Python that call a model of a format, whose largest square has a side of so many pixels."""
    _, imports, run = IN_PYTHON[name]
    return PYTHON.substitute(imports=imports, run=run, side=side)


def other(name: str) -> str:
    """Give the part of the README for another language."""
    if name not in IN_JAVASCRIPT:
        return NO_OTHER[name]
    npm, imports, run = IN_JAVASCRIPT[name]
    return JAVASCRIPT_PART.substitute(npm=npm, javascript=JAVASCRIPT.substitute(imports=imports, run=run))


def readme(name: str, side: int, **told: str | int) -> str:
    """Write README.md.

    Args:
        name: of the format.
        side: of the largest square, pixels.
        told: title, files, labels, figures, photos, largest and predicted, as the text takes them.
    """
    pip = IN_PYTHON[name][0]
    return README.substitute(told, side=side, pip=pip, python=python(name, side), other=other(name))
