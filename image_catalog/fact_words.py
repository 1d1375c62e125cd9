"""English and Russian words for calendar, light, cameras and shapes: the tables behind facts.py."""

from __future__ import annotations

MONTHS = (
    ("January", "январь"),
    ("February", "февраль"),
    ("March", "март"),
    ("April", "апрель"),
    ("May", "май"),
    ("June", "июнь"),
    ("July", "июль"),
    ("August", "август"),
    ("September", "сентябрь"),
    ("October", "октябрь"),
    ("November", "ноябрь"),
    ("December", "декабрь"),
)
WEEKDAYS = (
    ("Monday", "понедельник"),
    ("Tuesday", "вторник"),
    ("Wednesday", "среда"),
    ("Thursday", "четверг"),
    ("Friday", "пятница"),
    ("Saturday", "суббота"),
    ("Sunday", "воскресенье"),
)
WINTER, SPRING, SUMMER, AUTUMN = ("winter", "зима"), ("spring", "весна"), ("summer", "лето"), ("autumn fall", "осень")
NORTHERN_SEASONS = (WINTER, SPRING, SUMMER, AUTUMN)
SOUTHERN_SEASONS = (SUMMER, AUTUMN, WINTER, SPRING)

NIGHT, MORNING = ("night", "ночь"), ("morning", "утро")
AFTERNOON, EVENING = ("afternoon", "день"), ("evening", "вечер")

# What people call a make, by the first word of what the camera writes. The third: the kind of camera, where it is told by it.
PHONE = "phone смартфон телефон"
MAKES = {
    "apple": ("Apple", "эппл айфон", PHONE),
    "canon": ("Canon", "кэнон канон", ""),
    "nikon": ("Nikon", "никон", ""),
    "sony": ("Sony", "сони", ""),
    "fujifilm": ("Fujifilm Fuji", "фуджифильм фуджи", ""),
    "olympus": ("Olympus", "олимпус", ""),
    "om": ("OM System Olympus", "олимпус", ""),
    "panasonic": ("Panasonic Lumix", "панасоник люмикс", ""),
    "pentax": ("Pentax", "пентакс", ""),
    "ricoh": ("Ricoh", "рико", ""),
    "leica": ("Leica", "лейка", ""),
    "hasselblad": ("Hasselblad", "хассельблад", ""),
    "sigma": ("Sigma", "сигма", ""),
    "minolta": ("Minolta", "минолта", ""),
    "konica": ("Konica Minolta", "коника минолта", ""),
    "kodak": ("Kodak", "кодак", ""),
    "eastman": ("Kodak", "кодак", ""),
    "casio": ("Casio", "касио", ""),
    "samsung": ("Samsung", "самсунг", ""),
    "xiaomi": ("Xiaomi", "сяоми ксиоми", PHONE),
    "redmi": ("Xiaomi Redmi", "сяоми редми", PHONE),
    "poco": ("Xiaomi Poco", "сяоми поко", PHONE),
    "huawei": ("Huawei", "хуавей", PHONE),
    "honor": ("Honor", "хонор", PHONE),
    "google": ("Google Pixel", "гугл пиксель", PHONE),
    "oneplus": ("OnePlus", "ванплас", PHONE),
    "oppo": ("Oppo", "оппо", PHONE),
    "vivo": ("Vivo", "виво", PHONE),
    "realme": ("Realme", "реалми", PHONE),
    "nokia": ("Nokia", "нокиа", PHONE),
    "motorola": ("Motorola", "моторола", PHONE),
    "htc": ("HTC", "", PHONE),
    "lge": ("LG", "", PHONE),
    "asus": ("Asus", "асус", PHONE),
    "zte": ("ZTE", "", PHONE),
    "lenovo": ("Lenovo", "леново", PHONE),
    "dji": ("DJI", "", "drone дрон квадрокоптер"),
    "gopro": ("GoPro", "гопро", "action camera экшн-камера"),
    "flir": ("FLIR", "", "thermal тепловизор"),
}

LANDSCAPE, PORTRAIT = ("landscape horizontal", "горизонтальная"), ("portrait vertical", "вертикальная")
SQUARE, PANORAMA = ("square", "квадратная"), ("panorama", "панорама")
LONG_EXPOSURE, FLASH = ("long exposure", "длинная выдержка"), ("flash", "вспышка")
WIDE_ANGLE, TELEPHOTO = ("wide angle", "широкоугольный"), ("telephoto", "телеобъектив")
MACRO, SCREENSHOT = ("macro", "макро"), ("screenshot", "скриншот снимок экрана")
NEW_YEAR, CHRISTMAS = ("New Year", "новый год"), ("Christmas", "рождество")
MEGAPIXELS = ("megapixels MP", "мегапикселей Мп")

# Folders that say where a disk is mounted, not what a picture shows.
NO_WORDS = frozenset(["home", "users", "media", "mnt", "volumes", "run", "tmp", "var", "private", "dcim"])

# What people call countries beside the name that GeoNames has, in English and in Russian.
COUNTRY_ALIASES = {
    "United States of America": ("USA, United States", "Америка"),
    "United Kingdom": ("UK, Great Britain", "Великобритания, Англия, Соединённое Королевство"),
    "United Arab Emirates": ("UAE, Emirates", "Эмираты"),
    "Czech Republic": ("Czechia", "Чешская Республика"),
    "Republic of Korea": ("South Korea", "Южная Корея"),
    "Belarus": ("", "Белоруссия, Беларусь"),
    "Netherlands": ("Holland", "Голландия"),
    "South Africa": ("RSA", "ЮАР, Южно-Африканская Республика"),
    "DR Congo": ("Democratic Republic of the Congo", "ДР Конго, Демократическая Республика Конго"),
    "North Korea": ("DPRK", "Северная Корея"),
    "China": ("PRC", "КНР"),
    "Kyrgyzstan": ("", "Кыргызстан"),
    "Turkmenistan": ("", "Туркмения"),
    "Republic of Moldova": ("Moldova", "Молдавия"),
    "Myanmar": ("Burma", "Бирма"),
    "Ivory Coast": ("Côte d'Ivoire", "Берег Слоновой Кости"),
    "Cabo Verde": ("Cape Verde", "Острова Зелёного Мыса"),
    "Türkiye": ("Turkey", "Турция"),
    "Eswatini": ("Swaziland", "Свазиленд"),
    "Vatican City": ("Vatican", "Ватикан"),
}
