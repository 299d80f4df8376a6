"""Rewrites a prompt by a small set of rules, as the hosted enhancer does by a model.

The words of the prompt stay in front, untouched. Behind them come words about composition, light, medium and detail that
fit the style and what the prompt names, chosen by a digest of the prompt: the same text always gives the same answer. What
the prompt says already, such as an hour or a medium, isn't said again. A prompt with Chinese in it gets Chinese words.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence

from PIL import Image, ImageStat

from qwen_widgets.offline.painting.scene import words_of

_HAN = re.compile(r"[\u4e00-\u9fff]")
#: Characters that an answer keeps to, unless the prompt alone is longer.
_USUAL = 800
_READ = 4000

#: For each style: the medium, the composition, the detail. Each line is a choice.
_PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "default": {
        "composition": (
            "a balanced composition with a clear focal point",
            "the subject placed on a third, with quiet space around it",
            "foreground, middle ground and background clearly layered",
        ),
        "medium": ("natural colours with gentle contrast", "a harmonious palette of a few colours"),
        "detail": ("fine textures and crisp detail", "rich surface detail, clean edges"),
    },
    "artistic": {
        "composition": (
            "an expressive composition led by sweeping lines",
            "bold shapes against calm areas of colour",
            "an unusual viewpoint, rhythm in the repeated forms",
        ),
        "medium": (
            "an oil painting with visible brush strokes and layered pigment",
            "a watercolour on textured paper, soft edges that melt into one another",
            "a gouache with a palette of complementary colours",
        ),
        "detail": (
            "detail kept for the focal point, the rest suggested",
            "delicate glazes, lively highlights",
        ),
    },
    "photographic": {
        "composition": (
            "framed on the rule of thirds, leading lines towards the subject",
            "an eye-level view with a clean background",
            "a low viewpoint that lets the subject stand out",
        ),
        "medium": (
            "shot on a full-frame camera with an 85 mm lens at f/1.8, shallow depth of field",
            "a 35 mm lens at f/5.6, sharp from front to back",
            "a 50 mm lens at f/2.8, soft bokeh behind the subject",
        ),
        "detail": ("true-to-life colours, fine grain, high dynamic range", "crisp focus, natural textures"),
    },
    "technical": {
        "composition": (
            "an orthographic view, centred, on a plain light ground",
            "a three-quarter view with all parts clearly visible",
            "an exploded view with even spacing",
        ),
        "medium": (
            "clean vector lines of even weight, flat muted colours",
            "a precise technical illustration with thin outlines",
        ),
        "detail": (
            "exact proportions, no distracting background",
            "labelled parts, neat alignment, high legibility",
        ),
    },
    "anime": {
        "composition": (
            "a dynamic angle with a sense of motion",
            "a wide establishing shot with a small figure and a big sky",
            "a close view with an expressive pose",
        ),
        "medium": (
            "anime style, clean line art with cel shading",
            "hand-painted anime background, saturated colours",
        ),
        "detail": ("bright eyes and flowing shapes, detailed scenery", "soft gradients, glowing highlights"),
    },
    "realistic": {
        "composition": (
            "a natural, unposed composition",
            "true perspective and scale",
            "a believable setting with small everyday details",
        ),
        "medium": ("physically accurate light and materials", "realistic colours without filters"),
        "detail": (
            "lifelike textures: fabric, skin, stone and leaves",
            "tiny imperfections that make it believable",
        ),
    },
}
_HAN_PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "default": {
        "composition": ("构图均衡，主体突出", "主体位于三分线上，四周留白", "前景、中景、远景层次分明"),
        "medium": ("色彩自然，对比柔和", "色调和谐统一"),
        "detail": ("细节丰富，质感细腻", "边缘清晰，纹理精致"),
    },
    "artistic": {
        "composition": ("构图富有表现力，线条流畅", "大色块与留白相映", "视角独特，节奏感强"),
        "medium": ("油画，笔触可见，颜料层次丰富", "水彩，纸张纹理，边缘晕染", "油画，互补色调，绘画感强"),
        "detail": ("重点刻画主体，其余写意", "光泽细腻，高光生动"),
    },
    "photographic": {
        "composition": ("三分法构图，引导线指向主体", "平视视角，背景干净", "低机位，主体挺拔"),
        "medium": (
            "全画幅相机，85毫米镜头，f/1.8，浅景深",
            "35毫米镜头，f/5.6，前后清晰",
            "50毫米镜头，f/2.8，背景虚化",
        ),
        "detail": ("色彩真实，高动态范围", "对焦锐利，质感自然"),
    },
    "technical": {
        "composition": ("正投影视图，居中，浅色背景", "四分之三视角，各部分清晰可见", "爆炸图，间距均匀"),
        "medium": ("线条粗细一致的矢量图，平涂淡色", "精确的技术插图，细轮廓线"),
        "detail": ("比例准确，背景简洁", "标注清楚，排列整齐"),
    },
    "anime": {
        "composition": ("动感视角", "广阔天空下的小小身影，远景", "近景，姿态生动"),
        "medium": ("动漫风格，线条干净，赛璐璐上色", "手绘动漫背景，色彩鲜艳"),
        "detail": ("眼睛明亮，场景细致", "渐变柔和，高光闪烁"),
    },
    "realistic": {
        "composition": ("构图自然，不做作", "透视与比例真实", "环境可信，有生活细节"),
        "medium": ("光线与材质符合物理", "色彩写实，无滤镜"),
        "detail": ("质感逼真：布料、皮肤、石头、树叶", "细微的瑕疵更显真实"),
    },
}
#: The light for each hour that a prompt can name.
_LIGHT: dict[str, tuple[str, str]] = {
    "dawn": ("first light, pale pinks and long cool shadows", "晨曦微光，淡粉天色，长长的冷影"),
    "morning": ("clear morning light from one side", "清晨的侧光，空气通透"),
    "day": ("bright daylight with clean shadows", "明亮的日光，阴影清晰"),
    "golden": ("warm low sun, long shadows and a glowing rim of light", "低角度暖阳，长影，轮廓光"),
    "sunset": ("a glowing sky that colours everything below it", "霞光满天，映照万物"),
    "dusk": ("the last light in the sky, first lamps below", "天边余晖，灯火初上"),
    "blue": ("deep blue ambient light with small warm accents", "深蓝的环境光，点缀暖色灯光"),
    "night": ("moonlight and small pools of warm light, deep clear shadows", "月光与点点暖灯，暗部深邃"),
}
#: The light where the prompt names no hour; a technical picture needs none.
_STYLE_LIGHT: dict[str, tuple[str, str]] = {
    "default": ("soft morning light with gentle shadows", "柔和的早晨光线，阴影自然"),
    "artistic": ("the luminous light of late afternoon", "黄金时段的明亮光辉"),
    "photographic": ("golden hour light from one side, long soft shadows", "黄金时刻的侧光，柔和长影"),
    "anime": ("a bright sunlit sky with towering clouds", "阳光明媚，云朵高耸"),
    "realistic": ("natural daylight with true shadows", "白天的自然光，阴影真实"),
}
_AIR: dict[str, tuple[str, str]] = {
    "winter": ("crisp cold air, light glinting on the snow", "空气清冷，雪面闪光"),
    "autumn": ("warm leaf colours drifting through the scene", "暖色落叶点缀画面"),
    "spring": ("fresh greens and drifting petals", "新绿与飘落的花瓣"),
    "summer": ("lush greens under a high sky", "绿意浓郁，天空高远"),
    "rain": ("wet surfaces with reflections, fine streaks of rain", "湿润的地面倒映光影，雨丝细密"),
    "storm": ("heavy clouds and a tense, dramatic sky", "乌云翻涌，天色紧张"),
    "fog": ("soft layers of mist that fade into the distance", "薄雾层层，远处渐隐"),
    "snowfall": ("large soft flakes in front of the scene", "大片雪花飘落"),
    "stars": ("a sky full of stars", "繁星满天"),
}
_MOTION: tuple[tuple[str, str], ...] = (
    ("slow camera push-in, steady motion", "镜头缓缓推进，运动平稳"),
    ("a gentle pan that follows the subject", "镜头轻柔跟随主体"),
)
_PALETTE: dict[tuple[bool, bool], tuple[str, str]] = {
    (True, True): ("in the bright, warm colours of the given picture", "采用参考图明亮温暖的色调"),
    (True, False): ("in the bright, cool colours of the given picture", "采用参考图明亮清冷的色调"),
    (False, True): ("in the dark, warm colours of the given picture", "采用参考图深沉温暖的色调"),
    (False, False): ("in the dark, cool colours of the given picture", "采用参考图深沉清冷的色调"),
}
#: Where the prompt says these already, the part is left out.
_SAID: dict[str, re.Pattern[str]] = {
    "composition": re.compile(
        r"composition|framed|framing|rule of thirds|close[- ]?up|wide shot|构图|特写|远景"
    ),
    "medium": re.compile(
        r"\bmm\b|lens|f/\d|photograph|painting|watercolou?r|sketch|ink|pixel|woodblock|anime|render|摄影|镜头|水彩|油画|水墨|素描"
    ),
    "detail": re.compile(r"detail|texture|intricate|crisp|细节|质感|精细"),
    "light": re.compile(r"\blight(?:ing|s)?\b|\blit\b|backlit|shadow|glow|光"),
}


def enhance(text: str, style: str = "default", mode: str = "image", picture: bytes | None = None) -> str:
    """Put fitting words behind a prompt.

    Parameters
    ----------
    text : str
        The prompt, English or Chinese.
    style : str
        ``default``, ``artistic``, ``photographic``, ``technical``, ``anime`` or ``realistic``.
    mode : str
        ``image``, or ``video``, which adds a movement of the camera.
    picture : bytes, optional
        A picture whose tone is named.

    Returns
    -------
    str
        At most 800 characters, unless the prompt alone is longer or comes close: a little is always added.
    """
    words = text.strip()
    chinese = bool(_HAN.search(words))
    wanted = _added(words, style, mode, picture, chinese=chinese)
    comma, stop = ("，", "。") if chinese else (", ", ".")
    result = words.rstrip(" ,.，。;；")
    for number, phrase in enumerate(wanted):
        longer = f"{result}{comma}{phrase}"
        if number and len(longer) + len(stop) > _USUAL:
            continue
        result = longer
    return result + stop


def _added(words: str, style: str, mode: str, picture: bytes | None, *, chinese: bool) -> list[str]:
    read = words[:_READ].lower()
    phrases = (_HAN_PHRASES if chinese else _PHRASES)[style]
    numbers = hashlib.sha256(f"{style}\n{words}".encode("utf-8", "replace")).digest()
    at = 1 if chinese else 0
    named = [token.word for token in words_of(read) if token.word is not None]
    hours = [word.name for word in named if word.kind == "time"]
    airs = [word.name for word in named if word.kind in {"season", "weather"} and word.name in _AIR]
    found: dict[str, str] = {
        part: choices[numbers[number] % len(choices)]
        for number, (part, choices) in enumerate(phrases.items())
    }
    if style != "technical":
        found["light"] = (_LIGHT[hours[-1]] if hours else _STYLE_LIGHT[style])[at]
    parts = [
        found[part] for part in ("composition", "light", "medium") if part in found and not _said(part, read)
    ]
    if style != "technical":
        parts += [_AIR[air][at] for air in list(dict.fromkeys(airs))[:2]]
    if picture is not None:
        parts.append(_tone_of(picture)[at])
    if mode == "video":
        parts.append(_MOTION[numbers[8] % len(_MOTION)][at])
    if not _said("detail", read) or not parts:
        parts.append(found["detail"])
    return parts


def _said(part: str, read: str) -> bool:
    return bool(_SAID[part].search(read))


def _tone_of(picture: bytes) -> Sequence[str]:
    """Name how bright and how warm a picture is."""
    with Image.open(io.BytesIO(picture), formats=("PNG", "JPEG", "WEBP")) as opened:
        opened.draft("RGB", (64, 64))
        red, green, blue = ImageStat.Stat(opened.convert("RGB").resize((16, 16), Image.Resampling.BOX)).mean
    return _PALETTE[0.3 * red + 0.59 * green + 0.11 * blue > 118, red >= blue]
