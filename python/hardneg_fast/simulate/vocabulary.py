"""Words for queries and documents: made-up shops and brands, so that nothing here names anybody.

A topic is a feature and a thing ("waterproof hiking boots"), an intent adds a need ("for women").
"""

from __future__ import annotations

NEEDS_PER_DOMAIN = 12
"""Intents per topic; every domain lists exactly so many needs."""

DOMAINS: tuple[tuple[str, str, str], ...] = (
    (
        "hiking boots|trail shoes|rain jacket|backpack|sleeping bag|camping tent|headlamp|trekking poles|water filter"
        "|camping stove|insulated mug|dry bag|fleece pullover|sun hat|climbing rope|camping chair",
        "waterproof|lightweight|compact|foldable|ultralight|four season|durable|recycled|budget|premium|quick drying"
        "|reflective",
        "women|men|kids|beginners|winter|summer|long distance|travel|dog owners|rainy weather|sensitive feet"
        "|two people",
    ),
    (
        "frying pan|chef knife|espresso machine|stand mixer|rice cooker|cutting board|dutch oven|blender|toaster"
        "|food processor|baking tray|electric kettle|salad spinner|spice rack|pressure cooker|coffee grinder",
        "stainless steel|nonstick|ceramic|compact|dishwasher safe|copper|glass|easy to clean|heavy duty"
        "|professional|budget"
        "|extra large",
        "small kitchens|large families|induction|gas stoves|beginners|left handed cooks|camping|students|gifts|bread"
        "|daily use|professionals",
    ),
    (
        "headphones|laptop stand|phone case|wireless mouse|keyboard|monitor|webcam|external drive|power bank"
        "|smart watch|tablet|router|microphone|usb hub|desk lamp|speaker",
        "ergonomic|foldable|silent|wireless|aluminium|compact|rugged|budget|premium|lightweight|adjustable|low power",
        "gaming|remote work|students|video calls|travel|small desks|music production|seniors|running|kids|night use"
        "|photographers",
    ),
    (
        "bed frame|mattress|bookshelf|office chair|standing desk|area rug|curtains|floor lamp|sofa cover|shoe rack"
        "|wall shelf|duvet|pillow|storage box|coat stand|dining table",
        "modern|scandinavian|minimalist|compact|vintage|eco friendly|premium|budget|white|grey|handmade|lightweight",
        "small rooms|side sleepers|back pain|children|pet owners|renters|tall people|guest rooms|allergies|attics"
        "|hallways|hot summers",
    ),
    (
        "garden hose|lawn mower|raised bed|compost bin|pruning shears|greenhouse|bird feeder|plant pots|watering can"
        "|garden bench|leaf blower|fertiliser|grow light|rain barrel|hedge trimmer|seed starter kit",
        "compact|organic|stackable|rust proof|weatherproof|lightweight|extra large|budget|recycled|premium"
        "|green|easy care",
        "balconies|tomatoes|roses|large lawns|beginners|clay soil|indoor plants|vegetables|shade|herbs|dry regions"
        "|school gardens",
    ),
    (
        "road bike|bike helmet|yoga mat|dumbbells|running shoes|swim goggles|tennis racket|resistance bands"
        "|rowing machine"
        "|foam roller|football|climbing shoes|jump rope|bike lights|gym bag|knee brace",
        "adjustable|carbon|anti slip|padded|lightweight|aerodynamic|compact|professional|budget|durable"
        "|reflective|premium",
        "women|men|teenagers|beginners|marathon training|home workouts|commuting|triathlon|injury recovery|wide feet"
        "|cold weather|travel",
    ),
    (
        "acoustic guitar|digital piano|violin strings|drum pad|music stand|ukulele|microphone stand|guitar amplifier"
        "|metronome|harmonica|audio interface|sheet music|flute|cello bow|guitar strap|synthesizer",
        "full size|portable|student|vintage|foldable|silent|professional|handmade|budget|premium|black|lightweight",
        "beginners|kids|small hands|practice at home|jazz|recording|travel|choirs|adults|left handed players"
        "|stage use"
        "|teachers",
    ),
    (
        "sunscreen|face cream|shampoo|electric toothbrush|hair dryer|hand soap|lip balm|body lotion|razor"
        "|nail clippers"
        "|hair brush|deodorant|bath towel|makeup bag|face mask|beard trimmer",
        "fragrance free|natural|vegan|hypoallergenic|travel size|refillable|gentle|organic|premium|budget"
        "|plastic free"
        "|unscented",
        "sensitive skin|dry skin|curly hair|men|babies|teenagers|swimming|daily use|winter|fine hair|allergies|gifts",
    ),
    (
        "building blocks|board game|puzzle|stuffed animal|toy train|art set|scooter|doll house|balance bike"
        "|science kit"
        "|play kitchen|card game|kite|bath toys|marble run|craft paper",
        "wooden|colourful|educational|washable|foldable|glow in the dark|large|classic|recycled|giant|handmade|mini",
        "toddlers|two players|families|five year olds|ten year olds|rainy days|travel|classrooms|grandparents"
        "|birthday parties|fine motor skills|outdoor play",
    ),
    (
        "fountain pen|notebook|file cabinet|label printer|paper shredder|whiteboard|desk organiser|stapler|envelopes"
        "|wall calendar|ink cartridges|document scanner|laminator|sticky notes|drawing pencils|planner",
        "compact|recycled|professional|premium|budget|black|portable|colourful|high capacity|vintage|slim|heavy duty",
        "students|home offices|left handed writers|teachers|small businesses|engineers|meetings|travel|artists|taxes"
        "|shipping|daily planning",
    ),
)
"""One row a domain: things, features, needs, each list with `|` between its entries."""

BRANDS = (
    "Norvik|Aldera|Tamsin|Kestrel Row|Brightmoor|Ondura|Halden|Pinewell|Sorrel|Vantor|Lumenby|Oakhart|Fenwick Lane"
    "|Merrow|Caldera Works|Ivor & Finch|Solbakk|Tidewater|Quillon|Rowanly|Marlow North|Zephra|Hollis|Everlund"
)
"""Makers; a document's maker tells it from the others of its intent."""

SERIES = (
    "alpine|atlas|aurora|breeze|cascade|cobalt|comet|coral|delta|ember|falcon|fjord|glacier|harbor|horizon"
    "|indigo|juniper"
    "|lagoon|legend|mesa|meteor|nimbus|nova|onyx|orbit|pacific|pioneer|prairie|quartz|ranger|ridge|river|sable"
    "|saffron"
    "|sierra|solstice|sonic|stellar|summit|terra|thunder|titan|tundra|vector|velo|vista|willow|zenith"
)
"""Product lines: they tell topics apart once every feature of every thing is taken."""

FULLY = (
    "with free returns and a two year warranty|rated 4.7 by people who bought it for this"
    "|our most chosen model this season"
    "|tested for a year in daily use|in five sizes and three colours|with a clear size guide|ready to ship today"
    "|in the version that reviewers recommend"
)
"""Ends of documents that answer their intent."""

PARTLY = (
    "an everyday version|the basic model|last season's edition|the larger edition|the entry level version"
    "|a plain version|an all round model|the older generation"
)
"""Ends of documents that answer it in part."""

BESIDE = (
    "Repair kit|Cleaning spray|Storage bag|Replacement parts|Buying guide|Gift wrapping|Care instructions|Wall poster"
    "|Carrying strap|Protective cover|Spare screws|Sticker set|Rental service|Display stand"
)
"""Starts of documents that look right by their words and are something else."""


def words(entries: str) -> list[str]:
    """Split one of the lists above."""
    return entries.split("|")
