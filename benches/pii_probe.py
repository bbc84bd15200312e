#!/usr/bin/env python3
"""Probe set for a scrubber of personal data in search queries (all data random and fictitious).

positives(seed, each) -> [(type, query, secret)]; secret is an exact substring of query that must not survive
clean(seed, n)        -> [query]; nothing in them is personal data or a secret
residue(secret, out)  -> longest run of the secret's letters and digits still in the scrubber's output (optional, stricter)
"""

import argparse
import base64
import json
import random
import string
import zlib

TYPES = (
    "email",
    "phone",
    "card",
    "iban",
    "ssn",
    "national_id",
    "ipv4",
    "ipv6",
    "mac",
    "url_token",
    "jwt",
    "api_key",
    "gps",
    "long_number",
)
UP, LOW, DIG = string.ascii_uppercase, string.ascii_lowercase, string.digits
B62, B64U, HEX = UP + LOW + DIG, UP + LOW + DIG + "-_", "0123456789abcdef"
CLS = {"#": DIG, "%": DIG[1:], "~": DIG[2:], "@": UP, "&": UP + DIG, "^": HEX, "`": LOW}


def fill(r, pat):
    """# 0-9, % 1-9, ~ 2-9, @ A-Z, & A-Z0-9, ^ hex, ` a-z, [abc] one of."""
    out, i = [], 0
    while i < len(pat):
        c = pat[i]
        if c == "[":
            j = pat.index("]", i)
            out.append(r.choice(pat[i + 1 : j]))
            i = j
        else:
            out.append(r.choice(CLS[c]) if c in CLS else c)
        i += 1
    return "".join(out)


def rnd(r, alphabet, n):
    return "".join(r.choice(alphabet) for _ in range(n))


# ---------------------------------------------------------------- check digits
def luhn_ok(s):
    d = [int(c) for c in s if c.isdigit()]
    return sum(x if i % 2 == 0 else (2 * x - 9 if x > 4 else 2 * x) for i, x in enumerate(reversed(d))) % 10 == 0


def iban_ok(s):
    s = "".join(s.split()).upper()
    return int("".join(str(int(c, 36)) for c in s[4:] + s[:4])) % 97 == 1


VD = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]
VP = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
for _ in range(6):
    VP.append([VP[-1][VP[1][i]] for i in range(10)])


def verhoeff_ok(s):
    c = 0
    for i, ch in enumerate(reversed([x for x in s if x.isdigit()])):
        c = VD[c][VP[i % 8][int(ch)]]
    return c == 0


def with_check(body, ok):
    return next(body + d for d in DIG if ok(body + d))


def isbn13_ok(s):
    d = [int(c) for c in s if c.isdigit()]
    return len(d) == 13 and sum(x * (3 if i % 2 else 1) for i, x in enumerate(d)) % 10 == 0


# ---------------------------------------------------------------- secrets
FIRST = [
    "anna",
    "maria",
    "john",
    "peter",
    "lukas",
    "sofia",
    "ivan",
    "olga",
    "pierre",
    "camille",
    "giulia",
    "marco",
    "jose",
    "lucia",
    "ahmed",
    "fatima",
    "yuki",
    "hiroshi",
    "wei",
    "priya",
    "rahul",
    "emma",
    "noah",
    "lars",
    "ingrid",
    "piotr",
    "zofia",
    "mehmet",
    "elif",
    "joao",
    "beatriz",
    "thomas",
    "laura",
    "kevin",
    "sarah",
]
LAST = [
    "smith",
    "mueller",
    "garcia",
    "rossi",
    "dupont",
    "kowalski",
    "novak",
    "ivanov",
    "tanaka",
    "silva",
    "jansen",
    "andersson",
    "nielsen",
    "patel",
    "khan",
    "chen",
    "nguyen",
    "kim",
    "yilmaz",
    "papadopoulos",
    "murphy",
    "brown",
    "weber",
    "fischer",
    "moreau",
    "ricci",
    "lopez",
    "santos",
    "popescu",
    "horvath",
]
PROV = [
    "gmail.com",
    "yahoo.com",
    "hotmail.com",
    "outlook.com",
    "web.de",
    "gmx.net",
    "t-online.de",
    "orange.fr",
    "free.fr",
    "libero.it",
    "wp.pl",
    "mail.ru",
    "yandex.ru",
    "icloud.com",
    "proton.me",
    "qq.com",
    "163.com",
    "naver.com",
    "uol.com.br",
    "btinternet.com",
    "ziggo.nl",
    "seznam.cz",
    "telia.se",
]
IDN = (
    "müller-bau.de",
    "straße.de",
    "почта.рф",
    "例え.jp",
    "société-générale.fr",
    "españa.es",
    "xn--mller-kva.de",
    "københavn.dk",
    "bücher.example.ch",
    "δοκιμή.gr",
)


def g_email(r):
    f, l, y = r.choice(FIRST), r.choice(LAST), str(r.randint(1, 2009))
    loc = r.choice(
        [
            f"{f}.{l}",
            f"{f}{l}",
            f"{f[0]}.{l}",
            f"{f}_{l}",
            f"{l}{y}",
            f"{f}.{l}{y}",
            f"{f}-{l}",
            f"{f}{y}",
            f"{f[0]}{l[0]}{y}",
            f"{y}{f}",
            f"o'{l}",
            f"{f}.{r.choice(LOW)}.{l}",
            rnd(r, DIG, r.randint(6, 9)),
        ]
    )
    if r.random() < 0.2:
        loc += "+" + r.choice(["news", "amazon", "shop2023", "spam", "test-1", "x.y", "newsletter"])
    k = r.random()
    if k < 0.5:
        dom = r.choice(PROV)
    elif k < 0.7:
        dom = (
            r.choice(["mail", "cs", "student", "mx1", "hr.eu", "alumni"])
            + "."
            + r.choice([f"{l}-{f}", f"uni-{l}", l + "24", "4" + l])
            + r.choice([".edu", ".co.uk", ".com.au", ".ac.jp", ".de", ".museum", ".io", ".com.br"])
        )
    elif k < 0.85:
        dom = r.choice(IDN)
        if r.random() < 0.25:
            loc = r.choice(["jörg", "иван.петров", "françois", "用户" + y, "søren.k"])
    else:
        dom = f"{r.choice(LAST)}{r.choice(['', '-', '2', '360'])}{r.choice(['group', 'law', 'design', 'bau'])}{r.choice(['.com', '.eu', '.nl', '.consulting', '.info'])}"
    e = loc + "@" + dom
    return r.choice([e, e, e, e, e, e.upper(), e.title()]) if e.isascii() else e


INTL = {
    "44": ["7[45789]## ######", "20 [378]### ####", "161 ~## ####", "1[234579]## ######"],
    "49": ["151 ########", "17[0-9] #######".replace("0-9", "01234579"), "176 ########", "30 %#######", "89 %#####"],
    "33": ["6 ## ## ## ##", "7 [5678]# ## ## ##", "1 4# ## ## ##"],
    "39": ["3[234]# ### ####", "06 %### ####", "02 %### ####"],
    "34": ["6## ### ###", "6## ## ## ##", "91 %## ## ##"],
    "91": ["[6789]#### #####", "22 ~### ####"],
    "55": ["11 9[6789]###-####", "21 9[6789]### ####", "31 3###-####"],
    "81": ["90-%###-####", "80 %### ####", "3-[356]###-####"],
    "61": ["4## ### ###", "2 [89]### ####", "3 9### ####"],
    "31": ["6 [1234]### ####", "6-[1234]#######", "20 ~## ####"],
    "32": ["4[789]# ## ## ##", "2 ~## ## ##"],
    "41": ["7[6789] ### ## ##", "44 ~## ## ##"],
    "43": ["664 %######", "1 %######"],
    "46": ["7[0236] ### ## ##", "8 ~## ### ##"],
    "47": ["[49]## ## ###", "[49]# ## ## ##"],
    "45": ["~# ## ## ##"],
    "358": ["40 ### ####", "50 ### ####"],
    "48": ["[5-7]## ### ###".replace("5-7", "567"), "22 ~## ## ##"],
    "420": ["[67]## ### ###"],
    "351": ["9[1236] ### ## ##", "21 ~## ## ##"],
    "7": ["9%# ###-##-##", "495 ~## ## ##"],
    "380": ["67 ### ## ##", "50 ### ####"],
    "90": ["53# ### ## ##", "212 ~## ## ##"],
    "30": ["69[3479] ### ####", "21 0~## ####"],
    "353": ["8[3567] ### ####"],
    "972": ["5[02348]-###-####"],
    "86": ["13# #### ####", "18# #### ####"],
    "82": ["10-%###-####"],
    "52": ["55 #### ####"],
    "54": ["9 11 ~### ####"],
    "27": ["82 ### ####", "7[2369] ### ####"],
    "234": ["803 ### ####"],
    "254": ["7## ### ###"],
    "20": ["10 #### ####"],
    "966": ["5[0345] ### ####"],
    "971": ["50 ### ####"],
    "65": ["[89]### ####"],
    "60": ["12-### ####"],
    "62": ["812-####-####"],
    "66": ["8# ### ####"],
    "84": ["9# ### ## ##"],
    "63": ["917 ### ####"],
    "64": ["21 ### ####"],
    "56": ["9 %### ####"],
    "57": ["3[012]# ### ####"],
}
TRUNK = ["44", "49", "33", "43", "41", "31", "32", "46", "353", "27", "61", "64", "81"]
NATIONAL = {
    "uk": [
        "07[45789]## ######",
        "07[45789]## ### ###",
        "020 [378]### ####",
        "(020) [378]### ####",
        "0161 ~## ####",
        "01[234579]## ######",
    ],
    "de": [
        "030 %#######",
        "030/%#######",
        "0171-%######",
        "0176 ########",
        "089 / ### ### ##",
        "0151/########",
        "(0221) %######",
        "040-%## ## ##",
    ],
    "fr": [
        "0[67] ## ## ## ##",
        "0[67].##.##.##.##",
        "0[12345] ## ## ## ##",
        "0[67]########",
        "0[12345]-##-##-##-##",
        "0[12345].##.##.##.##",
    ],
    "it": [
        "3[234]# #######",
        "3[234]# ### ####",
        "3[234]#-#######",
        "06 %### ####",
        "02-%#######",
        "02/%#######",
        "3[2348]########",
    ],
    "es": [
        "6## ### ###",
        "6## ## ## ##",
        "6########",
        "9[1234]% ### ###",
        "7[1234]# ### ###",
        "6##-###-###",
        "6##.###.###",
    ],
    "in": [
        "[6789]#### #####",
        "[6789]#########",
        "0[6789]#### #####",
        "011-2### ####",
        "022 2### ####",
        "080-4#######",
        "[6789]####-#####",
    ],
    "br": [
        "(11) 9[6789]###-####",
        "(21) 9[6789]### ####",
        "11 9[6789]###-####",
        "(31) 3###-####",
        "(85)9[89]###-####",
        "(51) 3%##.####",
    ],
    "jp": [
        "090-%###-####",
        "080-%###-####",
        "070 %### ####",
        "03-[356]###-####",
        "06-6###-####",
        "(03) [356]###-####",
        "090%#######",
        "045-~##-####",
    ],
    "au": [
        "04## ### ###",
        "04########",
        "(02) [89]### ####",
        "(03) 9### ####",
        "07 3### ####",
        "04##-###-###",
        "(08)[689]### ####",
    ],
}


def g_phone(r):
    k = r.random()
    if k < 0.45:
        cc = r.choice(list(INTL))
        nsn = fill(r, r.choice(INTL[cc]))
        sep = r.choice([" ", " ", "", "-", ".", None])  # None: as the pattern has it
        if sep is not None:
            nsn = sep.join(nsn.replace("-", " ").split())
        if cc in TRUNK and r.random() < 0.35:
            return f"+{cc}{r.choice([' ', ''])}(0){r.choice([' ', ''])}{nsn}"
        return r.choice(["+", "+", "+", "00"]) + cc + (sep if sep is not None and r.random() < 0.7 else " ") + nsn
    if k < 0.65:
        while True:
            a, b, c = fill(r, "~##"), fill(r, "~##"), fill(r, "####")
            if a[1:] != "11" and b[1:] != "11" and a[1] != "9" and a[0] != a[1] and a[1:] != "00":
                break
        return r.choice(
            [
                f"({a}) {b}-{c}",
                f"({a}){b}-{c}",
                f"{a}-{b}-{c}",
                f"{a}.{b}.{c}",
                f"{a} {b} {c}",
                f"{a}{b}{c}",
                f"1-{a}-{b}-{c}",
                f"+1 {a} {b} {c}",
                f"+1-{a}-{b}-{c}",
                f"+1 ({a}) {b}-{c}",
                f"+1{a}{b}{c}",
                f"1 ({a}) {b}-{c}",
                f"+1.{a}.{b}.{c}",
                f"{a} {b}-{c}",
            ]
        )
    return fill(r, r.choice(NATIONAL[r.choice(list(NATIONAL))]))


def g_card(r):
    pre, n = r.choice(
        [
            ("4###", 16),
            ("4###", 16),
            ("4###", r.choice([13, 19])),
            ("5[12345]##", 16),
            (str(r.randint(2221, 2720)), 16),
            ("34##", 15),
            ("37##", 15),
            ("6011", 16),
            ("64[456789]#", 16),
            ("65##", 16),
            ("36##", 14),
            ("38##", 14),
            ("30[012345]#", 14),
            (str(r.randint(3528, 3589)), 16),
        ]
    )
    pre = fill(r, pre)
    s = with_check(pre + rnd(r, DIG, n - 5), luhn_ok)
    cuts = {15: (4, 10), 14: (4, 10), 16: (4, 8, 12), 13: (4, 7, 10), 19: (4, 8, 12, 16)}[n]
    parts = [s[a:b] for a, b in zip((0, *cuts), (*cuts, n), strict=False)]
    return r.choice([s, " ".join(parts), " ".join(parts), "-".join(parts)])


IBANS = {
    "AD": "8n12c",
    "AE": "19n",
    "AT": "16n",
    "BG": "4a6n8c",
    "BR": "23n1a1c",
    "CH": "5n12c",
    "CY": "8n16c",
    "CZ": "20n",
    "DE": "18n",
    "DK": "14n",
    "EE": "16n",
    "ES": "20n",
    "FI": "14n",
    "FR": "10n11c2n",
    "GB": "4a14n",
    "GE": "2a16n",
    "GR": "7n16c",
    "HR": "17n",
    "HU": "24n",
    "IE": "4a14n",
    "IL": "19n",
    "IS": "22n",
    "IT": "1a10n12c",
    "KW": "4a22c",
    "KZ": "3n13c",
    "LI": "5n12c",
    "LT": "16n",
    "LU": "3n13c",
    "LV": "4a13c",
    "MC": "10n11c2n",
    "MT": "4a5n18c",
    "NL": "4a10n",
    "NO": "11n",
    "PK": "4a16c",
    "PL": "24n",
    "PT": "21n",
    "QA": "4a21c",
    "RO": "4a16c",
    "RS": "18n",
    "SA": "2n18c",
    "SE": "20n",
    "SI": "15n",
    "SK": "20n",
    "SM": "1a10n12c",
    "TR": "6n16c",
    "UA": "6n19c",
    "BE": "10n",
}


def g_iban(r):
    cc, body, num = r.choice(list(IBANS)), "", ""
    for ch in IBANS[cc]:
        if ch.isdigit():
            num += ch
        else:
            alpha = DIG if ch == "n" else UP if ch == "a" else (DIG if r.random() < 0.6 else UP + DIG)
            body, num = body + rnd(r, alpha, int(num)), ""
    if cc == "BE":
        body += "%02d" % (int(body) % 97 or 97)
    chk = 98 - int("".join(str(int(c, 36)) for c in body + cc + "00")) % 97
    s = f"{cc}{chk:02d}{body}"
    s = r.choice([s, " ".join(s[i : i + 4] for i in range(0, len(s), 4))])
    return r.choice([s, s, s.lower()])


def g_ssn(r):
    a = r.choice([x for x in range(1, 900) if x != 666])
    s = r.choice("-- ")
    return f"{a:03d}{s}{r.randint(1, 99):02d}{s}{r.randint(1, 9999):04d}"


CF_ODD = dict(
    zip(
        DIG + UP,
        [
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ],
        strict=False,
    )
)


def g_national_id(r):
    k = r.randrange(7)
    if k < 2:
        n, tab = r.randint(1000000, 99999999) if k == 0 else r.randint(0, 29999999), "TRWAGMYFPDXBNJZSQVHLCKE"
        s, c = f"{n:08d}", tab[n % 23]
        if k == 1:
            s = "XYZ"[int(s[0])] + s[1:]
            return r.choice([s + c, f"{s}-{c}", f"{s[0]}-{s[1:]}-{c}", (s + c).lower()])
        return r.choice([s + c, f"{s}-{c}", f"{s[:2]}.{s[2:5]}.{s[5:]}-{c}", f"{s} {c}", (s + c).lower()])
    if k == 2:
        cons = "BCDFGLMNPRSTVZ"
        s = (
            rnd(r, cons, 6)
            + f"{r.randint(40, 105) % 100:02d}"
            + r.choice("ABCDEHLMPRST")
            + f"{r.randint(1, 28) + r.choice([0, 40]):02d}"
            + r.choice("ABCDEFGHIL")
            + f"{r.randint(1, 999):03d}"
        )
        s += UP[sum(CF_ODD[c] if i % 2 == 0 else int(c) if c.isdigit() else ord(c) - 65 for i, c in enumerate(s)) % 26]
        return r.choice([s, s, s.lower(), f"{s[:3]} {s[3:6]} {s[6:11]} {s[11:]}"])
    if k == 3:
        while True:
            p = r.choice("ABCEGHJKLMNOPRSTWXYZ") + r.choice("ABCEGHJKLMNPRSTWXYZ")
            if p not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ"):
                break
        d, c = rnd(r, DIG, 6), r.choice("ABCD")
        return r.choice(
            [
                p + d + c,
                f"{p} {d[:2]} {d[2:4]} {d[4:]} {c}",
                f"{p}{d}{c}".lower(),
                f"{p} {d} {c}",
                f"{p}-{d[:2]}-{d[2:4]}-{d[4:]}-{c}",
            ]
        )
    if k == 4:
        d = [r.randrange(10) for _ in range(9)]
        for _ in range(2):
            v = sum(x * (len(d) + 1 - i) for i, x in enumerate(d)) * 10 % 11
            d.append(v % 10)
        s = "".join(map(str, d))
        return f"{s[:3]}.{s[3:6]}.{s[6:9]}-{s[9:]}"
    if k == 5:
        s = with_check(fill(r, "~##########"), verhoeff_ok)
        return r.choice("  -").join([s[:4], s[4:8], s[8:]])
    s = with_check(fill(r, "[12345679]#######"), luhn_ok)
    return r.choice(" -").join([s[:3], s[3:6], s[6:]])


def g_ipv4(r):
    a = r.choice([x for x in range(1, 224) if x not in (10, 127)] + [10] * 8)
    b = (
        r.choice(["192.168", "172.%d" % r.randint(16, 31), "10.%d" % r.randrange(256)])
        if r.random() < 0.1
        else f"{a}.{r.randrange(256)}"
    )
    return f"{b}.{r.randrange(256)}.{r.randint(1, 254)}"


def g_ipv6(r):
    pre = r.choice(["2001", "2a02", "2a00", "2600", "2804", "2409", "2003", "2405", f"fd{rnd(r, HEX, 2)}"])
    full = [pre] + [rnd(r, HEX, 4) for _ in range(7)]
    short = [g.lstrip("0") or "0" for g in full]
    k = r.randrange(6)
    if k == 0:
        s = ":".join(full)
    elif k == 1:
        s = ":".join(short)
    elif k < 4:
        a = r.randint(2, 4)
        s = ":".join(short[:a]) + "::" + ":".join(short[8 - r.randint(1, 7 - a - 1) :])
    elif k == 4:
        s = ":".join(short[:4]) + "::" + r.choice("123456789abcdef")
    else:
        s = f"fe80::{rnd(r, HEX[1:], 1)}{rnd(r, HEX, 3)}:{rnd(r, HEX, 2)}ff:fe{rnd(r, HEX, 2)}:{rnd(r, HEX[1:], 1)}{rnd(r, HEX, 3)}"
        return s, s + r.choice(["%eth0", "%en0", "%12", "%wlan0", ""])
    s = s.upper() if r.random() < 0.2 else s
    return s, s + r.choice(["", "", "", "/64", "/128"])


def g_mac(r):
    h = rnd(r, HEX, 1) + r.choice("02468ace") + rnd(r, HEX, 10)
    h = r.choice([h, h.upper()])
    two = [h[i : i + 2] for i in range(0, 12, 2)]
    return r.choice([":".join(two), ":".join(two), "-".join(two), ".".join([h[:4], h[4:8], h[8:]]).lower()])


def token(r):
    return r.choice(
        [
            lambda: rnd(r, B62, r.randint(16, 43)),
            lambda: rnd(r, HEX, r.choice([16, 24, 32, 40])),
            lambda: rnd(r, B64U[:-2], 1) + rnd(r, B64U, r.randint(20, 60)) + rnd(r, B62, 1),
            lambda: fill(r, "^^^^^^^^-^^^^-4^^^-[89ab]^^^-^^^^^^^^^^^^"),
        ]
    )()


def g_url_token(r):
    h = (
        r.choice(["www.", "app.", "api.", "login.", "my.", ""])
        + r.choice(LAST)
        + r.choice(["shop", "cloud", "bank", "-media", ""])
        + r.choice([".com", ".de", ".io", ".co.uk", ".fr", ".org"])
    )
    u, t = r.choice(["https://", "https://", "http://", ""]) + h, token(r)
    if r.random() < 0.2:
        t = r.choice(
            [
                r.choice(FIRST) + str(r.randint(10, 2020)) + r.choice("!$*."),
                rnd(r, B62 + "!$*_-", r.randint(7, 15)) + r.choice(B62),
                r.choice(LAST).title() + str(r.randint(100, 99999)),
            ]
        )
        t = t.rstrip(".") + "x" if t.endswith(".") else t
        us = r.choice([*FIRST, "admin", "root", "postgres", "deploy"])
        return t, r.choice(
            [
                f"https://{us}:{t}@{h}/",
                f"ftp://{us}:{t}@ftp.{h}",
                f"postgres://{us}:{t}@db.{h}:5432/prod",
                f"mongodb+srv://{us}:{t}@{h}/test",
                f"http://{us}:{t}@{h}:8080/admin",
                f"redis://{us}:{t}@{h}:6379/0",
                f"https://{us}:{t}@{h}/{us}/repo.git",
            ]
        )
    return t, r.choice(
        [
            f"{u}/?token={t}",
            f"{u}/verify?lang=de&token={t}",
            f"{u}/v1/me?access_token={t}",
            f"{u}/file.pdf?se=2024-05-01&sp=r&sig={t}",
            f"{u}/cb#id_token={t}",
            f"{u}/cb#access_token={t}&token_type=bearer",
            f"{u}/data.json?api_key={t}",
            f"{u}/maps?apikey={t}&zoom=4",
            f"{u}/index.php?PHPSESSID={t}",
            f"{u}/shop;jsessionid={t}",
            f"{u}/cart?sid={t}&item=12",
            f"{u}/?session_id={t}",
            f"{u}/reset-password/{t}",
            f"{u}/password/reset/{t}",
            f"{u}/account/recover/{t}/confirm",
            f"{u}/auth/reset?code={t}",
            f"{u}/magic-link/{t}",
            f"{u}/users/password/edit?reset_password_token={t}",
            f"{u}/invite?key={t}",
            f"{u}/oauth?client_secret={t}",
            f"{u}/login?refresh_token={t}&x=1",
            f"{u}/unsubscribe?auth={t}",
        ]
    )


def b64u(b):
    return base64.urlsafe_b64encode(b).decode().rstrip("=")


def g_jwt(r):
    alg = r.choice(["HS256", "RS256", "ES256", "HS512"])
    hd = r.choice(
        [{"alg": alg, "typ": "JWT"}, {"typ": "JWT", "alg": alg}, {"alg": alg, "kid": rnd(r, HEX, 16)}, {"alg": alg}]
    )
    pl = {"sub": str(r.randint(1, 10**10)), "iat": r.randint(1500000000, 1750000000)}
    if r.random() < 0.6:
        pl.update(name=r.choice(FIRST).title() + " " + r.choice(LAST).title(), exp=pl["iat"] + 3600)
    if r.random() < 0.4:
        pl.update(iss="https://auth.example.com/", scope="read write", aud=rnd(r, B62, 12))
    n = {"HS256": 32, "ES256": 64, "HS512": 64, "RS256": 256}[alg]
    s = ".".join(
        [b64u(json.dumps(x, separators=(",", ":")).encode()) for x in (hd, pl)]
        + [b64u(bytes(r.randrange(256) for _ in range(n)))]
    )
    return s, r.choice(["", "", "", "Bearer ", "authorization: bearer ", "jwt=", "token:"]) + s


def g_api_key(r):
    def gh(p):
        b, c, o = rnd(r, B62, 30), 0, ""
        c = zlib.crc32(b.encode())
        for _ in range(6):
            c, m = divmod(c, 62)
            o = (DIG + UP + LOW)[m] + o
        return p + b + o

    def w(n):
        return rnd(r, B62, n)

    def hx():
        return (lambda s: r.choice([s, s, s.upper()]))(rnd(r, HEX, r.choice([32, 32, 40, 48, 64, 64])))

    s = r.choice(
        [
            lambda: r.choice(["AKIA", "AKIA", "ASIA"]) + rnd(r, UP + "234567", 16),
            lambda: gh(r.choice(["ghp_", "gho_", "ghs_", "ghu_"])),
            lambda: "github_pat_" + w(22) + "_" + w(59),
            lambda: f"xoxb-{fill(r, '%###########')}-{fill(r, '%############')}-{w(24)}",
            lambda: (
                f"xoxp-{fill(r, '%###########')}-{fill(r, '%###########')}-{fill(r, '%############')}-{rnd(r, HEX, 32)}"
            ),
            lambda: r.choice(["sk_live_", "rk_live_", "sk_test_"]) + w(r.choice([24, 99])),
            lambda: "AIza" + rnd(r, B64U, 34) + r.choice(B62),
            lambda: "GOCSPX-" + rnd(r, B64U, 27) + r.choice(B62),
            lambda: "sk-" + w(20) + "T3BlbkFJ" + w(20),
            lambda: "sk-proj-" + rnd(r, B64U, 74) + "T3BlbkFJ" + rnd(r, B64U, 73) + r.choice(B62),
            lambda: "glpat-" + rnd(r, B64U, 19) + r.choice(B62),
            lambda: "npm_" + w(36),
            lambda: "SG." + rnd(r, B64U, 22) + "." + rnd(r, B64U, 42) + r.choice(B62),
            hx,
            hx,
            hx,
        ]
    )()
    if r.random() < 0.06:
        s = rnd(r, B62, 1) + rnd(r, B62 + "+/", 38) + rnd(r, B62, 1)
        return s, r.choice(["aws_secret_access_key=", "AWS_SECRET_ACCESS_KEY: "]) + s
    return s, r.choice(["", "", "", "", "api_key=", "key:", "API_KEY=", "x-api-key: "]) + s


def g_gps(r):
    la, lo = r.uniform(-55, 69), r.uniform(-179, 179)
    if r.random() < 0.65:
        n = r.randint(4, 8)
        return r.choice([f"{la:.{n}f}, {lo:.{n}f}", f"{la:.{n}f},{lo:.{n}f}", f"{la:.{n}f} {lo:.{n}f}"])
    dms = []
    for v, p in ((la, "NS"), (lo, "EW")):
        v, h = abs(v), p[v < 0]
        dms.append((int(v), int(v * 60) % 60, v * 3600 % 60, h))
    f = r.choice(
        [
            "{0}°{1:02d}'{2:04.1f}\"{3}",
            "{0}° {1}′ {2:.0f}″ {3}",
            "{0}°{1:02d}′{2:05.2f}″{3}",
            "{3} {0}° {1}' {2:.2f}\"",
            "{0}°{1:02d}'{2:02.0f}\"{3}",
            "{3}{0}°{1}'{2:.1f}\"",
        ]
    )
    return r.choice([" ", ", "]).join(f.format(d, m, min(s, 59.0), h) for d, m, s, h in dms)


def g_long_number(r):
    while True:
        s = fill(r, "#" * r.randint(9, 20))
        if not (s[:3] in ("978", "979") and isbn13_ok(s)) and len(set(s)) > 3:
            return s


# ---------------------------------------------------------------- queries around the secrets
CUE = {
    "email": "email e-mail contact correo adresse почта contacter scrivere kontakt メール 邮箱 invoice login facebook",
    "phone": "phone number tel telefon téléphone telefono celular mobile whatsapp handynummer телефон 電話番号 电话 chi chiama who called wem gehört",
    "card": "card visa mastercard kreditkarte carte bancaire tarjeta carta credit check fraud карта 信用卡",
    "iban": "iban konto bank überweisung virement compte cuenta conto rekening bic sparkasse rachunek",
    "ssn": "ssn social security number lookup tax my lost card check",
    "national_id": "dni nie codice fiscale nino insurance cpf aadhaar sin id ausweis verificar consultar check",
    "ipv4": "ip address whois locate ping server adresse geolocate block firewall",
    "ipv6": "ipv6 ip whois ping address route traceroute adresse",
    "mac": "mac address lookup vendor router device adresse hersteller",
    "url_token": "link open login broken funktioniert nicht error invalid site ouvrir",
    "jwt": "jwt decode token bearer debug expired invalid online",
    "api_key": "api key hash decode leaked revoke token invalid md5 schlüssel clé",
    "gps": "gps map coordinates where koordinaten carte coordenadas 地图 где",
    "long_number": "order tracking number imei account bestellung colis suivi pedido sendung номер 订单 kundennummer passport",
}
GEN = [
    "my",
    "the",
    "for",
    "help",
    "near",
    "von",
    "für",
    "mein",
    "la",
    "pour",
    "mon",
    "de",
    "el",
    "para",
    "mi",
    "il",
    "per",
    "и",
    "где",
    "мой",
    "是",
    "の",
    "الرقم",
    "كيف",
    "what",
    "is",
    "check",
    "find",
    "wie",
    "was",
    "est",
    "como",
    "dove",
    "czy",
    "jest",
    "og",
    "och",
]
STICK = [
    '"{}"',
    "'{}'",
    "({})",
    "[{}]",
    "<{}>",
    "{},",
    "{}.",
    "{}?",
    "«{}»",
    "„{}“",
    "{};",
    "{}!",
    "“{}”",
    "({}),",
    "{}…",
]
TYPED = {
    "email": ["mailto:{}", "e-mail:{}", "email:{}", "to:{}", "邮箱:{}", "<mailto:{}>"],
    "phone": ["tel:{}", "tel.{}", "Tel: {}", "whatsapp:{}", "電話：{}", "电话{}", "ph#{}", "fax:{}"],
    "card": ["card:{}", "cc#{}", "visa:{}"],
    "iban": ["iban:{}", "IBAN={}", "Konto:{}"],
    "ssn": ["ssn:{}", "SSN#{}", "ssn={}"],
    "national_id": ["id:{}", "dni:{}", "nº{}"],
    "ipv4": ["ip:{}", "http://{}/", "{}:8080", "host={}", "{}/32", "root@{}"],
    "ipv6": ["ip={}", "http://[{}]/"],
    "mac": ["mac:{}", "mac={}"],
    "gps": ["gps:{}", "@{}", "loc={}"],
    "long_number": ["no.{}", "#{}", "id={}", "nr:{}", "№{}", "订单号{}"],
}
MAKERS = {t: globals()["g_" + t] for t in TYPES}


def positives(seed, each):
    r, out = random.Random(seed), []
    for t in TYPES:
        for _ in range(each):
            got = MAKERS[t](r)
            secret, core = got if isinstance(got, tuple) else (got, got)
            if r.random() < 0.3:
                q = core
            else:
                if r.random() < 0.4:
                    pool = TYPED.get(t, [])
                    pool = [] if (t == "ipv6" and "%" in core) or "/" in core else pool
                    core = (r.choice(pool) if pool and r.random() < 0.4 else r.choice(STICK)).format(core)
                cues = CUE[t].split()
                words = [
                    r.choice(cues) if r.random() < 0.45 else r.choice(GEN)
                    for _ in range(r.choice([1, 1, 2, 2, 3, 3, 4, 5, 6]))
                ]
                k = r.choice([0, len(words), r.randint(0, len(words)), r.randint(0, len(words))])
                q = " ".join([*words[:k], core, *words[k:]])
            out.append((t, q, secret))
    return out


def residue(secret, output):
    """Length of the longest run of the secret's letters and digits (separators ignored) that is left in output."""
    a, b = ("".join(c for c in x.lower() if c.isalnum()) for x in (secret, output))
    best, row = 0, [0] * (len(b) + 1)
    for ch in a:
        row = [0] + [row[j] + 1 if ch == b[j] else 0 for j in range(len(b))]
        best = max(best, max(row))
    return best


# ---------------------------------------------------------------- clean queries
def isbn(r):
    if r.random() < 0.4:
        b = fill(r, "[012389]########")
        c = (11 - sum((10 - i) * int(x) for i, x in enumerate(b)) % 11) % 11
        s = b + ("X" if c == 10 else str(c))
        return r.choice(
            [f"isbn {s}", f"isbn {s[0]}-{s[1:4]}-{s[4:9]}-{s[9]}", f"ISBN-10: {s}", f"isbn:{s}", f"{s} isbn"]
        )
    s = with_check(fill(r, "978[01238]########"), isbn13_ok)
    h = f"{s[:3]}-{s[3]}-{s[4:7]}-{s[7:12]}-{s[12]}"
    return r.choice(
        [s, h, f"isbn {s}", f"isbn {h}", f"ISBN-13: {h}", f"{s} book", f"isbn {h.replace('-', ' ')}", f"isbn:{s} pdf"]
    )


def P(*pats):
    return lambda r: fill(r, r.choice(pats))  # fill() pattern; a literal @ is [@]


def M(*tpl, **lists):  # str.format templates over word lists ('a|b|c'), then nothing else
    return lambda r: r.choice(tpl).format(
        **{k: r.choice(v.split("|")) if isinstance(v, str) else v(r) for k, v in lists.items()}
    )


def n(a, b):
    return lambda r: r.randint(a, b)


YR, MON = n(1300, 2031), "january|mars|april|mai|juni|juillet|august|settembre|octubre|november|décembre"
QW = "how|what is|wie|pourquoi|best|cheap|list|meaning|download|wiki|2024|near|review|wann|qué es|cosa significa"
EV = "weather|moon phase|lunar eclipse|public holiday|day of week|history|what happened|concert berlin|gold price|tv guide|feiertag|météo|stock market"
KINDS = {
    "year": M(
        "{e} {y}",
        "{y}-{z} {e}",
        "{e} {y}–{z}",
        "{y}/{s} season {e}",
        "{e} {d}s",
        "{y} bis {z}",
        "{e} from {y} to {z}",
        e="world war|best movies|inflation|calendar|premier league|jahrgang|elections|recession|harvest|music",
        y=n(1300, 1950),
        z=n(1951, 2031),
        s=n(10, 99),
        d=lambda r: r.randrange(1900, 2030, 10),
    ),
    "date": M(
        "{e} {y}-{m:02d}-{d:02d}",
        "{e} {d:02d}/{m:02d}/{y}",
        "{e} {d}.{m}.{y}",
        "{d:02d}.{m:02d}.{y} {e}",
        "{e} {d} {mo} {y}",
        "{mo} {d}, {y} {e}",
        "{y}年{m}月{d}日",
        "{e} {m}/{d}/{y}",
        "{y}-{m:02d}-{d:02d}T{h:02d}:30:00Z to unix",
        "{e} {d:02d}-{m:02d}-{y}",
        "{e} {y}{m:02d}{d:02d}",
        "days until {d}. {mo}",
        e=EV,
        y=n(1900, 2030),
        m=n(1, 12),
        d=n(1, 28),
        h=n(0, 23),
        mo=MON,
    ),
    "time": M(
        "{h:02d}:{m:02d} {z}",
        "{h:02d}:{m:02d}:{s:02d} to seconds",
        "{k} pm est to cet",
        "{h}h{m:02d} {z}",
        "{k}:{m:02d} am pst in {z}",
        "timer {m} min {s} sec",
        "{h:02d}:{m:02d} - {i:02d}:{m:02d} opening hours",
        "{h:02d}.{m:02d} uhr {z}",
        "timecode {h:02d}:{m:02d}:{s:02d}:12",
        h=n(0, 23),
        i=n(18, 23),
        k=n(1, 12),
        m=n(0, 59),
        s=n(1, 59),
        z="utc|cet|tokyo|train|news|gmt|ist|paris",
    ),
    "size": M(
        "{a}x{b}",
        "{a} x {b} wallpaper",
        "{t}/{u} r{w} {l}v",
        "{t}/{u}R{w} tyres",
        "{a}x{b}x{c} mm box",
        "{c} cm x {w} cm frame",
        "eu {c2} to us shoe",
        "{c}x{w} inch",
        "w{l2} l{l3} jeans",
        a=n(320, 7680),
        b=n(240, 4320),
        c=n(20, 200),
        c2=n(35, 48),
        t=lambda r: r.randrange(155, 325, 10),
        u=lambda r: r.randrange(30, 85, 5),
        w=n(13, 22),
        l=n(75, 110),
        l2=n(28, 40),
        l3=n(28, 36),
    ),
    "price": M(
        "{w} under ${a}",
        "{w} €{k}.{h:03d},{c:02d}",
        "{w} ${k},{h:03d}.{c:02d}",
        "{k} {h:03d} zł {w}",
        "₹{k},{h:03d} {w}",
        "{w} £{a}.{c:02d}",
        "¥{k}{h:03d} {w}",
        "{k} {h:03d} 000 kč {w}",
        "{a} usd to eur",
        "{w} {a} euro",
        "{k}.{h:03d}.000 vnd to usd",
        w="laptop|sofa|used car|rent|iphone|flight|bike|house|gold|fridge|watch",
        a=n(5, 999),
        k=n(1, 99),
        h=n(0, 999),
        c=n(0, 99),
    ),
    "model": P(
        "rtx 4[06789]0",
        "rtx 40[6789]0 vs rx 7[89]00",
        "wh-1000xm[345]",
        "bosch 0 [1234]## ### ###",
        "0 261 ### ###",
        "0 280 ### ###",
        "06A 906 0## @@",
        "sm-g9##b",
        "iphone 1[1-5] pro".replace("1-5", "12345"),
        "skf 6[23]0#-2rs",
        "lego 7####",
        "i[579]-1[234]##0k",
        "ryzen [579] 7#00x",
        "hp laserjet m4##dn",
        "canon eos ##0d",
        "bc5#7b datasheet",
        "ne555p",
        "lm317t pinout",
        "thinkpad x1 gen [6789]",
        "a 20# 8## 0# 4#",
        "ddr5-[56]#00 cl3#",
        "sk-ii essence ##0ml",
        "np-fz100",
        "1n400# diode",
        "dewalt dcd7##p2",
        "ikea 10#.###.##",
        "boeing 7[3478]7-[89]00",
    ),
    "error": P(
        "0x800[47]####",
        "error 0x8007000[2-9]".replace("2-9", "23456789"),
        "ora-0####",
        "ora-1#### error",
        "err_connection_refused",
        "http 50[234]",
        "error 1[01]#4 mysql",
        "p0[1-4]## code".replace("1-4", "1234"),
        "e1# fehler waschmaschine",
        "kb50#####",
        "sqlstate 42[sp]0#",
        "exit code 13#",
        "error ts2###",
        "cs0### c sharp",
        "0xc000000^",
        "0xc0000005 fix",
        "ps5 ce-10####-#",
        "errno 1#",
        "segfault at 0x0",
        "cve-202[01234]-%####",
    ),
    "version": P(
        "python 3.1#.#",
        "10.0.1904#",
        "windows 10.0.19045.%###",
        "chrome 1##.0.%###.1##",
        "node v%#.%#.#",
        "react[@]18.#.#",
        "npm install lodash[@]4.17.%#",
        "ios 1[567].#.#",
        "java 1.8.0_[23]##",
        "openssl 3.0.1#",
        "php 8.[123].##",
        "ubuntu 2#.04.#",
        "libc6 2.3#-0ubuntu3.#",
        "pip install numpy==1.2#.#",
        "firefox 1##.0.# release notes",
        "kernel 5.1#.0-##-generic",
        "postgres 1#.#",
        "v%.%#.#-rc.%",
        "android 1#",
        "driver 5##.## nvidia",
    ),
    "isbn": isbn,
    "flight": P(
        "LH[4]## status",
        "lh 4##",
        "BA%### flight",
        "ua %## delayed",
        "af%##",
        "flight ek ##%",
        "fr%### ryanair",
        "AA 1## jfk lax",
        "tk1%## istanbul",
        "airbus a3[2358]0-[2389]00",
    ),
    "zip": P(
        "9[0-5]### zip code".replace("0-5", "012345"),
        "zip 1%#0#",
        "750%# paris",
        "1011# berlin",
        "plz 8%###",
        "code postal 69 00#",
        "2801# madrid",
        "cap 0018#",
        "weather sw1a",
        "m1 manchester postcode",
        "cep 01%##-000",
        "〒1%0-00##",
        "1%## wien",
        "00-9## warszawa",
        "k1a 0b1",
        "pin code 1100##",
        "10%# ab amsterdam",
    ),
    "road": P(
        "a%# stau",
        "I-%5 exit %#",
        "route %#",
        "m2# traffic",
        "us-10# california",
        "b%## sperrung",
        "e4# autobahn",
        "n%# belgique",
        "autostrada a%#",
        "hwy 40% toronto",
        "d9%# route",
        "A%(M) closed",
    ),
    "score": P(
        "%-# bayern",
        "6-4 7-6 6-3 tennis",
        "[67]-[345] 6-# nadal",
        "1##-9# lakers",
        "real madrid #-# barcelona",
        "3:[012] ergebnis",
        "#-# (4-[23] pen)",
        "2##/[56] in 20 overs",
        "27-2# nfl",
        "21-1# 21-% badminton",
        "elo 2%##",
        "10.%# 100m time",
    ),
    "ticker": M(
        "{t} stock {y}",
        "{t} {a}.{c:02d}",
        "eur/usd 1.{f:04d}",
        "btc ${k},{h:03d}",
        "{t} pe ratio",
        "{t} call {a} strike",
        "dax {k} {h:03d}",
        "s&p 500 at {k}{h:03d}",
        "usd/jpy 1{c:02d}.{c:02d}",
        t="AAPL|MSFT|TSLA|NVDA|SAP.DE|BRK.B|0700.HK|7203.T|^GSPC|SPY",
        y=n(2005, 2025),
        a=n(10, 900),
        c=n(10, 99),
        f=n(0, 9999),
        k=n(3, 69),
        h=n(0, 999),
    ),
    "formula": M(
        "{f} {w}",
        f="C6H12O6|H2SO4|Fe2O3|C8H10N4O2|NaHCO3|KMnO4|C2H5OH|CaCO3|Al2(SO4)3|e=mc^2|v=u+at|PV=nRT|CH3COOH|H2O2 3%|cas 7732-18-5|cas 107-21-1|cas 64-17-5|F=ma|U=RI",
        w="|molar mass|structure|formula|name|solver|explained|lewis structure|msds|derivation",
    ),
    "math": M(
        "sqrt({a})",
        "{a}*({b}+{c})",
        "integral of x^{b} from 0 to {c}",
        "{a}/{b} as decimal",
        "{c}x^2+{b}x-{a}=0",
        "log2({a})",
        "{a} in binary",
        "sin({c})+cos({b})",
        "{c}! factorial",
        "{a} mod {b}",
        "pi 3.14159265",
        "lim x->0 sin({c}x)/x",
        "{c}% of {a}",
        "{a}+{b}+{c}=",
        "gcd({a}, {b})",
        "1.{a}e-{c}",
        "({a}-{b})/{c}",
        "0b1011 + 0b{b}",
        "{a} {b} {c} average",
        a=n(10, 99999),
        b=n(2, 99),
        c=n(2, 60),
    ),
    "colour": (
        lambda r: r.choice(
            [
                "#{0:06x}",
                "#{0:06X} color",
                "color #{1:03x}",
                "rgb({2}, {3}, {4})",
                "ral 70{5}",
                "pantone {6}",
                "hsl({2}, {5}%, {7}%)",
                "background: #{0:06x};",
                "#{0:06X}80 hex alpha",
                "rgba({2},{3},{4},0.5)",
            ]
        ).format(
            r.randrange(1 << 24),
            r.randrange(4096),
            r.randrange(256),
            r.randrange(256),
            r.randrange(256),
            r.randint(10, 48),
            r.randint(100, 799),
            r.randint(10, 90),
        )
    ),
    "file": P(
        "report_202#.pdf",
        "IMG_202[0-4]051#_12##4#.jpg".replace("0-4", "01234"),
        "setup-%.#.#-x64.exe",
        "libstdc++.so.%",
        "msvcp1#0.dll",
        "DSC0####.JPG",
        "backup-202#-0%-1#.tar.gz",
        "invoice_template_v#.docx",
        "d3dx9_4#.dll missing",
        "/etc/nginx/nginx.conf",
        "c:\\windows\\system32\\drivers",
        "main.###.js",
        "song (%).mp3",
        "vc_redist.x64.exe",
        "track0%.flac",
        "com.android.vending-8#.apk",
        "ubuntu-2#.04.#-desktop-amd64.iso",
    ),
    "handle": lambda r: r.choice(
        [
            "{} twitter",
            "{}",
            "{} instagram",
            "who is {}",
            "{} tiktok",
            "{} youtube channel",
            "follow {}",
            "{} hashtag",
            "{} live",
        ]
    ).format(
        r.choice(
            [
                "@nasa",
                "@bbcnews",
                "@fcbarcelona",
                "@wikipedia",
                "@who",
                "@lemondefr",
                "@dwnews",
                "@github",
                "@europeanspaceagency",
                "@nba",
                "@natgeo",
                "@ubuntu",
                "@cern",
                "@louvremuseum",
                "@uefa",
            ]
        )
    ),
    "hashtag": M(
        "#{t}",
        "#{t}{y}",
        "#{t} #{u}",
        "#{t} trend {y}",
        "what is #{t}",
        t="worldcup|throwback|ootd|cdu|fridaysforfuture|python|vegan|euro|metoo|oscars|catsofinstagram|100daysofcode",
        u="love|berlin|running|nofilter|paris|7days|travel",
        y=n(2010, 2026),
    ),
    "url": M(
        "https://en.wikipedia.org/wiki/{w}",
        "www.{s}.com",
        "{s}.com/{w}",
        "https://www.{s}.com/search?q={w}&page={p}",
        "arxiv.org/abs/{y}.{a:05d}",
        "github.com/{s}/{w}/issues/{a}",
        "https://{s}.org/{w}/index.html#section-{p}",
        "doi:10.1{p:03d}/{w}.{a}",
        "http://localhost:{q}",
        "https://stackoverflow.com/questions/{a}/{w}-in-python",
        "{s}.co.uk",
        "https://{s}.com/products/{w}-{p}?color=red&size=m",
        "reddit.com/r/{w}",
        "https://{s}.com:8443/{w}?lang=de&sort=asc",
        "https://{s}.com/login",
        "{s}.com/reset-password",
        s="amazon|ikea|booking|spiegel|lemonde|python|torvalds|imdb|allegro|zalando|mozilla|bbc",
        w="berlin|cats|linux|news|shoes|physics|readme|tesla|chess|recipes",
        p=n(1, 99),
        a=n(100, 99999),
        y=n(1001, 2412),
        q="3000|8080|5173|8888",
    ),
    "bible": M(
        "{b} {c}:{v}",
        "{b} {c}:{v}-{x}",
        "{b} {c}, {v}",
        "{b} {c}:{v} kjv",
        "{b} {c} meaning",
        "sura {c}:{v}",
        "{b} {c}:{v}; {d}:{x}",
        b="john|1 cor|psalm|gen|2 tim|matthäus|1 samuel|rom|isaiah|salmo|jean|apocalypse|exodus",
        c=n(1, 28),
        d=n(1, 20),
        v=n(1, 20),
        x=n(21, 36),
    ),
    "legal": M(
        "{a} U.S. {b}",
        "§ {a} abs {c} bgb",
        "art. {c} gdpr",
        "{c2} usc {a}(c)(3)",
        "C-{a}/{y2}",
        "[19{c2}] ac {a}",
        "17 cfr 240.10b-{c}",
        "BVerfGE {c2}, {c}",
        "{a} f.3d {b}",
        "article l{a}-{c} code du travail",
        "§{a} stgb",
        "{y2}/{a}/EU directive",
        "bgh az. vi zr {a}/{y2}",
        "public law 1{y2}-{a}",
        "regulation (eu) 2016/{a}",
        "ley {a}/20{y2}",
        a=n(100, 600),
        b=n(10, 900),
        c=n(1, 9),
        c2=n(10, 99),
        y2=n(10, 24),
    ),
    "emergency": M(
        "{n} {w}",
        "{w} {n}",
        n="112|911|999|110|113|000|118|15|116 117|116 123|988|119|111|101|311",
        w="emergency number|notruf|urgences|emergency|call|non-emergency|numero emergenza|police|ambulance|japan|uk|australia|polska|nummer|экстренный номер",
    ),
    "lottery": lambda r: (
        lambda x, b: r.choice(
            [
                f"lotto {' '.join(map(str, x))}",
                f"powerball {' '.join(map(str, x[:5]))} + {b}",
                f"{'-'.join(map(str, x))} euromillions",
                f"lottozahlen {', '.join(map(str, x))} zusatzzahl {b}",
                f"loto {' '.join(map(str, x[:5]))} + {b}",
            ]
        )
    )(sorted(r.sample(range(10, 60), 6)), r.randint(1, 12)),
    "count": lambda r: (
        lambda a, d, k: r.choice(["{} next number", "{}", "sequence {}", "{} ...", "count {}"]).format(
            r.choice([" ", ", ", " ", ","]).join(str(a + d * i) for i in range(k))
        )
    )(r.choice([0, 1, 1, 2, 5, 10]), r.choice([1, 1, 2, 3, 5, 7, 10]), r.randint(5, 10)),
    "population": M(
        "{k} 000 000 000 people",
        "{k} {h} 000 000 {w}",
        "{h} {g:03d} 000 {w}",
        "{k},{h},{g:03d},000 {w}",
        "{w} {h},{g:03d},{f:03d}",
        "{h}.{g:03d}.000 einwohner",
        "{w} {k}.{h}.000.000",
        "{h} million {w}",
        "{k} 000 000 000",
        "{h} {g:03d} 000 habitants",
        w="population|people in words|bevölkerung|inhabitants|debt|km to sun|население|人口",
        k=n(1, 9),
        h=n(100, 999),
        g=n(0, 999),
        f=n(100, 999),
    ),
    "git": lambda r: (
        lambda h: r.choice(
            [
                f"commit {h}",
                f"git revert {h}",
                f"git cherry-pick {h}",
                f"{h}",
                f"git show {h} --stat",
                f"linux kernel commit {h}",
            ]
        )
    )(r.choice("abcdef") + rnd(r, HEX, r.randint(5, 8)) + r.choice("abcdef")),
    "unit": M(
        "{a} {u} in {v}",
        "{a} c to f",
        "{a} kg in lbs",
        "{b} g flour in cups",
        "{a} km in miles",
        "{a} mph to kmh",
        "{b} kcal",
        "{a} ft {c} in to cm",
        "{a}°c {b} min oven",
        "{b} ml to oz",
        "1013.{a} hpa",
        "{b} mhz",
        "{a}/{c} cup",
        u="liter|meter|yards|inch|acres|gb|bar|stone",
        v="gallon|feet|cm|ha|mb|psi|kg",
        a=n(2, 990),
        b=n(100, 5000),
        c=n(2, 11),
    ),
    "standard": P(
        "iso 9001:2015",
        "iso 27%##:20##",
        "rfc %###",
        "en 10%## 3.1",
        "ieee 802.11[abgn]",
        "din 9%# m8x%#",
        "din en 60%##-1",
        "astm a%##",
        "usb 3.[012] gen 2x2",
        "ngc %###",
        "asteroid %#### orbit",
        "iec 6%###",
        "ip6[5678] waterproof",
        "bs 7671:20##",
        "nf c 15-100",
        "nist sp 800-%#",
        "hd 2094##b",
        "psr b19##+2#",
        "ecma-26#",
    ),
    "code": M(
        "arr[{a}:{b}] python",
        "for i in range({b})",
        "chmod {o}",
        "sed -n {a},{b}p",
        "std::vector<int>::iterator",
        "a::before css",
        "a::after {{ content }}",
        "regex [a-z]{{{a},{b}}}",
        "what is ?token= in url",
        "port {b}{a}",
        "array<int, {a}> c++",
        "dd::cafe namespace",
        "select * from t limit {a} offset {b}",
        "utf-8 u+{b}{a}",
        "x{b}_t uint{a}",
        "api key vs access_token",
        "find . -mtime -{a}",
        "crontab */{a} * * * *",
        "hash::md5 php",
        "printf %0{a}.{a}f",
        "excel =sum(a{a}:b{b})",
        "tcp/{b} firewall",
        a=n(2, 9),
        b=n(10, 99),
        o="755|644|0777|600",
    ),
    "game": M(
        "{c}. e4 e5 {d}. Nf3 Nc6",
        "minecraft {a} seed bug",
        "fen rnbqkbnr/pppppppp/8/8",
        "bpm {a} playlist",
        "season {c} episode {d}",
        "s{c:02d}e{d:02d} subtitles",
        "symphony no. {c} op. {a}",
        "bwv {a}",
        "kv {a} mozart",
        "chapter {a} one piece",
        "level {a} candy crush",
        "top {a} songs",
        "yu-gi-oh {c}/{d}",
        "dnd {c}d{d}+2",
        "fifa {a} ovr",
        c=n(1, 9),
        d=n(10, 24),
        a=n(25, 900),
    ),
}
WORDS = {
    "en": (
        "how to|best way to|can you|why do people",
        "boil eggs|learn guitar|sleep better|clean a sofa|grow tomatoes",
        "quickly|at home|without money|in winter|for beginners",
    ),
    "de": (
        "wie kann man|rezept für|was bedeutet|wo gibt es",
        "kartoffelsuppe|träume|fahrradschlauch|apfelkuchen|steuererklärung",
        "einfach|ohne ei|in berlin|selber machen|schnell",
    ),
    "fr": (
        "comment faire|pourquoi|recette de|où trouver",
        "une tarte aux pommes|l'été indien|des crêpes|un vélo d'occasion",
        "sans gluten|à paris|pas cher|facile|c'est quoi",
    ),
    "es": (
        "cómo hacer|qué es|dónde comprar|mejores",
        "tortilla de patatas|música clásica|zapatos de niño|películas",
        "en casa|barato|sin horno|¿cuánto cuesta?|en español",
    ),
    "it": (
        "come fare|cos'è|ricetta|perché",
        "il pane|la pasta al forno|la nebbia|l'orto sul balcone",
        "in casa|velocemente|d'inverno|senza lievito",
    ),
    "pl": (
        "jak zrobić|co to jest|gdzie kupić",
        "pierogi|żurek|rower|meble ogrodowe|świąteczne dekoracje",
        "tanio|w domu|szybko|w krakowie",
    ),
    "ru": (
        "как сделать|что такое|почему|где купить",
        "борщ|северное сияние|велосипед|фотосинтез|хлеб",
        "дома|быстро|зимой|недорого",
    ),
    "zh": ("如何|为什么|哪里可以", "学习英语|做红烧肉|天空是蓝色的|买自行车|种番茄", "视频|教程|图片|北京"),
    "ja": ("簡単な|おすすめの|人気の", "カレーの作り方|京都観光|猫の名前|自転車|折り紙", "動画|とは|東京|ランキング"),
    "ar": (
        "كيف|ما هو|أفضل|لماذا",
        "طريقة عمل الخبز|الطقس اليوم|تعلم الإنجليزية|القهوة العربية",
        "في المنزل|بسرعة|في القاهرة",
    ),
    "ko": ("맛있는|쉬운|추천", "김치찌개 만드는 법|서울 여행|자전거|영어 공부", "동영상|집에서|후기"),
    "hi": ("कैसे बनाएं|क्या है|सबसे अच्छा", "समोसा|मौसम|साइकिल|हिंदी कहानी", "घर पर|दिल्ली|आसान"),
    "tr": ("nasıl yapılır|nedir|en iyi", "mercimek çorbası|bisiklet|gökkuşağı|ekmek", "evde|ucuz|istanbul"),
}
for _l, _t in WORDS.items():
    KINDS["words_" + _l] = (
        lambda t, gap: (
            lambda r: (
                r.choice(["{0} {1} {2}", "{0} {1}", "{1} {2}", "{0} {1}?"])
                .replace(" ", gap)
                .format(*[r.choice(x.split("|")) for x in t])
            )
        )
    )(_t, "" if _l == "zh" else " ")


def clean(seed, n):
    r, out, seen, order = random.Random(seed), [], set(), []
    while len(out) < n:
        if not order:
            order = list(KINDS)
            r.shuffle(order)
        make = KINDS[order.pop()]
        for _ in range(30):  # prefer unseen queries; repeat only when a kind is exhausted
            q = " ".join(make(r).split())
            if q not in seen:
                break
        seen.add(q)
        out.append(q)
    return out


def main():
    import re

    ap = argparse.ArgumentParser()
    ap.add_argument("--sample", action="store_true")
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    pos, neg = positives(a.seed, 200), clean(a.seed, 3000)
    assert pos == positives(a.seed, 200) and neg == clean(a.seed, 3000), "not deterministic"
    for t, q, s in pos:
        assert s and s in q, (t, q, s)
        assert t != "card" or luhn_ok(s), s
        assert t != "iban" or iban_ok(s), s
        assert t != "phone" or 7 <= sum(c.isdigit() for c in s) <= 17, s
    for q in neg:
        assert 0 < len(q) < 120 and not re.search(r"[\w.+-]+@[\w-]+\.[a-z]{2}", q), q
        assert "isbn" in q.lower() or not re.search(r"\d{9}", q) or isbn13_ok(re.search(r"\d{9,}", q)[0]), q
        assert not re.search(
            r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])", q
        ), q
        assert not re.search(
            r"\d\.\d{4,}[ ,]+-?\d+\.\d{4,}|[0-9a-fA-F]{32}|\b\d{3}[- ]\d{2}[- ]\d{4}\b|(?<![\d ])0[1-9]([ .-]\d\d){4}(?!\d| \d)",
            q,
        ), q
    if a.sample:
        for t in TYPES:
            for _, q, s in [p for p in pos if p[0] == t][:5]:
                print(f"{t:12} {q}   <- {s}" if len(q) < 160 else f"{t:12} {q[:150]}...")
        print()
        for k in KINDS:
            rr = random.Random(a.seed)
            print(f"{k:12} " + " | ".join(" ".join(KINDS[k](rr).split()) for _ in range(5)))
    print(
        f"ok: {len(pos)} positives, {len(neg)} clean ({len(set(neg))} distinct), {len(KINDS)} clean kinds, {len(IBANS)} IBAN countries, {len(INTL) + 1} calling codes"
    )


if __name__ == "__main__":
    main()
