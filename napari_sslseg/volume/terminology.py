"""Codes that say what a class is, whatever language its name is in.

DICOM wants a coded category and type for each segment [1]_. The structures below are those of
SNOMED CT that DICOM itself uses; a name that is none of them gets a code of a private scheme.

.. [1] DICOM PS3.3, C.8.20.4 Segment Description Macro; PS3.16, CID 7150 and CID 7151
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

#: Coding scheme of names that are in no terminology; "99" marks a private scheme.
PRIVATE_SCHEME = "99SSLSEG"

SNOMED = "SCT"

#: Longest value and longest meaning that DICOM can store.
_LONGEST_VALUE, _LONGEST_MEANING = 16, 64


@dataclass(frozen=True)
class Code:
    """An entry of a terminology.

    Parameters
    ----------
    value : str
        Such as ``"82471001"``; at most 16 characters.
    scheme : str
        Designator of the coding scheme: ``"SCT"`` (SNOMED CT), ``"DCM"``, ``"FMA"``, ...; at
        most 16 characters.
    meaning : str
        In words; at most 64 characters.

    Raises
    ------
    ValueError
        If a part is empty or too long for DICOM.
    """

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        for what, text, longest in (
            ("value", self.value, _LONGEST_VALUE),
            ("scheme", self.scheme, _LONGEST_VALUE),
            ("meaning", self.meaning, _LONGEST_MEANING),
        ):
            if not 0 < len(text.strip()) <= longest or "\\" in text:
                raise ValueError(
                    f"The {what} of a code has 1 to {longest} characters and no backslash, "
                    f"not {text!r}."
                )

    def to_json(self) -> dict[str, str]:
        """Return the code as plain JSON values."""
        return {"value": self.value, "scheme": self.scheme, "meaning": self.meaning}

    @classmethod
    def from_json(cls, data: object) -> Code | None:
        """Read what `to_json` wrote; None for what is no dict.

        Raises
        ------
        KeyError
            If a part is missing.
        ValueError
            If the parts are no code.
        """
        if not isinstance(data, dict):
            return None
        return cls(str(data["value"]), str(data["scheme"]), str(data["meaning"]))

    @classmethod
    def parse(cls, text: str, name: str) -> Code | None:
        """Read what a person typed: ``80891009 Heart``, ``DCM:121191 Referenced segment``.

        Parameters
        ----------
        text : str
            Code, with the designator of its scheme before a colon unless it is SNOMED CT, then its
            meaning; None for nothing.
        name : str
            Meaning where none is typed.

        Raises
        ------
        ValueError
            With one sentence, when that is no code.
        """
        words = text.split(maxsplit=1)
        if not words:
            return None
        scheme, colon, value = words[0].rpartition(":")
        if not colon and not value.isdigit():
            raise ValueError(
                f"{words[0]!r} is no code of SNOMED CT, which are numbers; for another terminology "
                "write its name and a colon before the code."
            )
        meaning = words[1] if len(words) > 1 else name
        return cls(value, scheme if colon else SNOMED, meaning[:_LONGEST_MEANING])


@dataclass(frozen=True)
class Terms:
    """What DICOM is told about a segment: its category, its type, and its side if it has one."""

    category: Code
    kind: Code
    side: Code | None = None


ANATOMY = Code("91723000", SNOMED, "Anatomical Structure")
TISSUE = Code("85756007", SNOMED, "Tissue")
ABNORMAL = Code("49755003", SNOMED, "Morphologically Abnormal Structure")
SUBSTANCE = Code("91720002", SNOMED, "Body Substance")

#: Side of a paired structure (PS3.16, CID 244).
_SIDES = {
    "left": Code("7771000", SNOMED, "Left"),
    "right": Code("24028007", SNOMED, "Right"),
}

#: Category -> lines of "value, meaning, other names...".
_STRUCTURES = {
    ANATOMY: """
        80891009 Heart
        82471001 Left atrium | la
        73829009 Right atrium | ra
        87878005 Left ventricle | lv
        53085002 Right ventricle | rv
        49848007 Left Ventricle Myocardium | myocardium | left ventricular myocardium
        76848001 Pericardium
        15825003 Aorta
        81040000 Pulmonary artery
        64131007 Inferior vena cava
        32764006 Portal vein
        39607008 Lung
        44567001 Trachea
        955009 Bronchus
        10200004 Liver
        78961009 Spleen
        15776009 Pancreas
        64033007 Kidney
        28231008 Gallbladder
        69695003 Stomach
        32849002 Esophagus | oesophagus
        38848004 Duodenum
        30315005 Small intestine | small bowel
        14742008 Large intestine | large bowel
        71854001 Colon
        34402009 Rectum
        89837001 Bladder | urinary bladder
        41216001 Prostate
        35039007 Uterus
        15497006 Ovary
        23451007 Adrenal gland
        69748006 Thyroid | thyroid gland
        45289007 Parotid gland | parotid
        12738006 Brain
        113305005 Cerebellum
        119238007 Brain Stem | brainstem
        5366008 Hippocampus
        4958002 Amygdala
        42695009 Thalamus
        11000004 Caudate Nucleus | caudate
        89278009 Putamen
        14738005 Globus Pallidus | pallidum
        66720007 Lateral Ventricle
        56329008 Pituitary
        18234004 Optic nerve
        2748008 Spinal cord
        51282000 Vertebra
        89546000 Skull
        91609006 Mandible
        38199008 Tooth
        56873002 Sternum
        113197003 Rib
        51299004 Clavicle
        71341001 Femur
        12611008 Tibia
        76752008 Breast
        81745001 Eye
        78076003 Lens
        5665001 Retina
        59441001 Lymph Node
        84640000 Nucleus | cell nucleus
        4421005 Cell
    """,
    TISSUE: """
        389081007 Gray Matter | grey matter | gm
        389080008 White Matter | wm
        3138006 Bone
        91727004 Muscle
        55603005 Fat | adipose tissue
        39937001 Skin
        87784001 Soft tissue
        309312004 Cartilage
        74135004 Meniscus
        59820001 Blood Vessel | vessel
        51114001 Artery
        29092000 Vein
    """,
    SUBSTANCE: """
        65216001 Cerebrospinal Fluid | csf
    """,
    ABNORMAL: """
        108369006 Neoplasm | tumor | tumour
        52988006 Lesion
        27925004 Nodule
        367643001 Cyst
        79654002 Edema | oedema
        50960005 Hemorrhage | haemorrhage
        6574001 Necrosis
    """,
}


def _table() -> dict[str, Terms]:
    known = {}
    for category, lines in _STRUCTURES.items():
        for line in filter(None, map(str.strip, lines.splitlines())):
            value, _, names = line.partition(" ")
            meaning, *others = (name.strip() for name in names.split("|"))
            for name in (meaning, *others):
                known[name.lower()] = Terms(category, Code(value, SNOMED, meaning))
    return known


#: Structures that are recognised, by their names in lower case.
_KNOWN = _table()


def terms_for(name: str, code: Code | None = None) -> Terms:
    """Return what a class is called in a terminology.

    Parameters
    ----------
    name : str
        Name of the class. Case, plural ``s``, and a leading or trailing *left* or *right* do not
        hinder recognition; the side becomes a code of its own.
    code : Code, optional
        What the user chose; goes before the name.

    Returns
    -------
    Terms
        Of the private scheme ``99SSLSEG`` where the name is not known: the same name has the
        same code everywhere.
    """
    if code is not None:
        chosen = (code.value, code.scheme)
        same = (t for t in _KNOWN.values() if (t.kind.value, t.kind.scheme) == chosen)
        return Terms(next((t.category for t in same), ANATOMY), code)
    words = re.sub(r"[\W_]+", " ", name.lower()).split()
    side = None
    for at in (0, -1):
        # The left ventricle is a structure of its own, not the left one of a pair.
        if len(words) > 1 and words[at] in _SIDES and " ".join(words) not in _KNOWN:
            side = _SIDES[words.pop(at)]
            break
    plain = " ".join(words)
    found = _KNOWN.get(plain) or _KNOWN.get(plain.removesuffix("s"))
    if found is not None:
        return Terms(found.category, found.kind, side)
    return Terms(ANATOMY, private_code(name))


def private_code(name: str) -> Code:
    """Return a code of the private scheme for free text, which may be empty or of any length.

    The same text, whatever its case, has the same value; meanings are cut to 64 characters.
    """
    meaning = " ".join(name.replace("\\", "/").split()) or "Structure"
    value = re.sub(r"[^A-Z0-9]+", "_", meaning.upper()).strip("_")
    if not value or len(value) > _LONGEST_VALUE or value != meaning.upper().replace(" ", "_"):
        # Shortened or stripped of letters two names might be one.
        digest = hashlib.sha256(meaning.lower().encode()).hexdigest()[:7].upper()
        value = f"{value[: _LONGEST_VALUE - 8]}_{digest}".strip("_")
    return Code(value, PRIVATE_SCHEME, meaning[:_LONGEST_MEANING])
