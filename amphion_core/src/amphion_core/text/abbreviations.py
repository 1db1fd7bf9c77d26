"""Words with a full stop that ends no sentence, and words that begin one, by language. Used by ``sentences.py``.

Keys are lower case and have no spaces: "z. B." is "z.b". Each language adds to what all languages share. Languages that
are not here use what all share, with the general rules for initials, numbers and lower case.
"""

from functools import cache
from typing import NamedTuple


class Stops(NamedTuple):
    """What is known about full stops in one language."""

    never: frozenset[str]  # no sentence ends after these: Mr., e.g.
    before_number: frozenset[str]  # none ends between these and a number: No. 5, Fig. 3
    seldom: frozenset[str]  # a sentence ends after these only before one of ``starters``: Inc., Jr.
    starters: frozenset[str]  # first words of a sentence, which are seldom names
    ordinals: bool  # "3." means "third"
    nouns_upper: bool  # all nouns begin in upper case
    vowels: bool  # every word of two letters or more has a vowel


def words(text: str) -> frozenset[str]:
    """The words of ``text``, which spaces separate."""
    return frozenset(text.split())


@cache
def stops(language: str) -> Stops:
    """The table for a language such as ``en-us`` or ``de``."""
    code = language.partition("-")[0].lower()
    code = _SAME.get(code, code)
    tables = [table.get(code, "") for table in (_NEVER, _BEFORE_NUMBER, _SELDOM, _STARTERS)]
    never, before_number, seldom, starters = (words(table) for table in tables)
    return Stops(
        never | words(_NEVER["all"]), before_number | words(_BEFORE_NUMBER["all"]),
        seldom | words(_SELDOM["all"]), starters,
        code in _ORDINALS, code == "de", code not in _WITHOUT_VOWELS,
    )  # fmt: skip


_SAME = {"no": "nb", "nn": "nb", "bs": "hr", "sr": "hr", "lb": "de", "af": "nl"}
_ORDINALS = ("de", "da", "nb", "sv", "fi", "is", "et", "lv", "lt", "cs", "sk", "pl", "hu", "sl", "hr", "tr", "eu")
_WITHOUT_VOWELS = ("cs", "sk", "hr", "sl", "mk", "bg")  # these have words such as "krk"

_NEVER = {
    "all": "mr mrs ms dr prof e.g i.e vs cf",
    "en": "messrs mx drs profs rev revs sen sens rep reps gov govs pres hon gen maj col lt capt cmdr cdr adm sgt "
    "cpl pvt brig supt insp mt mts fr eg ie viz approx ca incl excl esp a.k.a",
    "de": "hr hrn fr frl bzw bzgl vgl u o ca ggf inkl exkl evtl sog zzgl abzgl bspw lt gem geb gest z.b d.h u.a u.u "
    "i.d.r z.t z.zt z.hd s.o s.u i.a o.g u.g u.v.m mag dipl ing dipl.-ing hrsg st mind einschl entspr ehem "
    "med phil jur habil h.c insb insbes allg bes p.a s.g i.e i.s m.e v.a d.i a.d a.m o.b verh rd zw",
    "fr": "m mm mme mmes mlle mlles me mgr pr st ste cf p.ex c.-à-d c.à.d env ex av apr boul bd gal cap cdt lt col",
    "es": "sr sra srta sres sras dra d dña ud uds vd vds prof profa lic ing arq gral cnel cap tte sto sta fray p.ej "
    "p.e ee aprox excmo ilmo mons ntra hnos av avda c/ dpto admón vs",
    "it": "sig sigg sig.ra sig.na dott dott.ssa dr.ssa prof.ssa avv ing arch geom rag on sen gen col cap ten mons "
    "don s ss p.es es ca cfr v egr gent spett ill reg comm cav gr",
    "pt": "sr sra srs sras srta dra exmo exma ilmo ilma v prof profa eng engª d dom sto sta gal gen cel cap ten "
    "p.ex ex aprox av trav jr",
    "nl": "dhr mevr mw mej hr ir ing drs ds mr bijv bv d.w.z m.a.w m.b.t o.a t.a.v t.b.v t.o.v i.p.v i.v.m m.n "
    "n.a.v o.l.v z.g zgn ca vgl resp incl excl st a.d gebr fam prov gem",
    "da": "hr fr f.eks bl.a dvs ca jf mht kl pga vedr inkl ekskl hhv ift ang evt sml",
    "nb": "hr fr f.eks bl.a dvs ca jf mht kl pga vedr inkl ekskl hhv ift ang evt d.v.s",
    "sv": "hr fr t.ex bl.a dvs ca jfr jmf kl pga p.g.a inkl exkl ev resp s.k m.a.o d.v.s t.o.m f.d fr.o.m",
    "fi": "esim ks vrt mm ns ts n toim hra rva tri prof",
    "pl": "np dr hab mgr inż prof tzn tzw ul al pl św im ks o ok ob m.in por lek doc gen płk kpt ww r p",
    "cs": "např tj tzv tzn ing mgr mudr judr phdr bc doc prof p pí sl sv ul nám cca resp popř př mj atp srov pozn",
    "sk": "napr tj tzv tzn ing mgr mudr judr phdr bc doc prof p sv ul nám cca resp príp porov pozn",
    "hu": "pl ill id ifj özv dr prof st ún kb ca vö szt",
    "ro": "dl dna d-na d-l dr prof ing sf str bd nr ex aprox cca art",
    "hr": "npr tj tzv g gđa dr prof mr ing sv ul br st odn str usp",
    "tr": "dr prof doç av yrd sn alb bkz vb örn yy bul cad mah sok apt tel hz",
    "ru": "г-н г-жа т.е т.н т.к т.о напр проф акад доц им ул пр пер пл св гр тов см ср гл обл р-н д к кв корп стр",
    "uk": "т.зв напр проф акад доц ім вул пл св гр див ст обл р-н ред буд кв пор",
    "el": "κ κα κος δρ καθ π.χ δηλ βλ πρβλ αγ οδ",
    "ca": "sr sra srta dr dra p.ex av st sta pl",
}

_BEFORE_NUMBER = {
    "all": "no nr fig figs vol p pp tel n nº № art cap jan feb mar apr jun jul aug sep sept oct nov dec",
    "en": "nos vols ch chs chap sec secs sect eq eqs ex para pt pts ver v ext op ed bk tab rm apt ste col cols app "
    "ps jn mt lk rom cor c lines verse b d r",
    "de": "nrn abb tab abs bd bde s kap anm ziff aufl hft jg pos str § art lit rn rz okt dez mrz sept abschn",
    "fr": "nos chap pp t al vol éd janv févr avr juil déc art fig",
    "es": "núm núms pág págs n.º n.ª vol tomo t cap caps ene abr ago dic art arts fig figs",
    "it": "pag pagg n num cap capp vol art artt fig figg tav gen mag giu lug ago set ott dic",
    "pt": "n.º núm pág págs vol cap caps art arts fig figs fev abr mai ago set out dez fls",
    "nl": "nrs blz p art afb fig hfst dl par okt mrt",
    "da": "nr s side kap stk bd okt maj",
    "nb": "nr s side kap bd okt des mai",
    "sv": "nr s sid kap bd okt maj st",
    "fi": "s nro n:o ss kpl",
    "pl": "nr str s rys tab art ust poz pkt rozdz t paź sty lut kwi cze lip sie wrz lis gru",
    "cs": "č čís s str obr tab čl odst kap roč sv",
    "sk": "č s str obr tab čl ods kap roč zv",
    "hu": "sz old kb",
    "ro": "nr pag p vol cap art fig",
    "hr": "br str sv čl sl tab",
    "tr": "no s c md sayı",
    "ru": "с стр г гл рис табл ст п т ч № д кв корп",
    "uk": "с стор гл рис табл ст п т ч № буд кв",
    "el": "αρ σελ κεφ εικ τόμ",
    "ca": "núm pàg vol cap art fig",
}

_SELDOM = {
    "all": "etc al jr sr inc ltd co corp dept univ ph.d m.d b.a m.a",
    "en": "bros llc plc assn inst est ave blvd rd ln hwy sq bldg ft oz lb lbs yd hr hrs mins yr yrs mon tue tues "
    "thu thurs fri esq ret dist div intl govt mfg misc max cont ed eds trans repr jan feb mar apr jun jul aug "
    "sep sept oct nov dec st ste",
    "de": "usw u.ä o.ä u.s.w etc str pl mio mrd tsd jh jhd std min sek tel fa abt jan feb febr okt dez v.chr n.chr "
    "sen jun verl uni stv vors präs a.d e.v max ung dgl u.dgl o.dgl",
    "fr": "etc éd tél dép dépt janv févr avr juil sept oct nov déc av.j.-c apr.j.-c hab min max n.d.l.r",
    "es": "etc uu cía dto tel ed edit núm pág s.a s.l a.c d.c ee.uu rr.hh máx mín",
    "it": "ecc etc tel ed s.p.a s.r.l a.c d.c max min sec",
    "pt": "etc cia ltda tel ed s.a a.c d.c máx mín exa exª",
    "nl": "enz etc e.d e.a jl tel afd max min bv n.v b.v gld jr sr",
    "da": "osv m.m mv mio mia tlf årg o.l m.v",
    "nb": "osv m.m mv mill mrd tlf årg o.l m.v",
    "sv": "osv m.m mm milj mdr tel o.d etc o.s.v m.fl",
    "fi": "jne ym yms milj mrd puh eaa jaa",
    "pl": "itd itp tys mln mld godz tel wyd r w p.n.e n.e min zob red",
    "cs": "atd apod tis mil mld hod tel min r př.n.l n.l vyd red",
    "sk": "atď apod tis mil mld hod tel min r vyd",
    "hu": "stb u.n tel kft rt bt zrt ker",
    "ro": "etc ș.a tel ed min mil mld",
    "hr": "itd sl tel god tis mil mlrd",
    "tr": "vs vd vb tel ltd şti a.ş st co",
    "ru": "т.д т.п др пр тыс млн млрд руб коп гг вв г в н.э до.н.э мин сек ч тел изд ред",
    "uk": "т.д т.п ін тис млн млрд грн коп рр ст р н.е хв сек год тел вид",
    "el": "κ.λπ κλπ κ.ά κ.α π.μ μ.μ π.χ τηλ",
    "ca": "etc tel ed",
}

_STARTERS = {
    "en": "the a an this that these those it its he she they we you i his her their our your my there here then "
    "when where what who whom whose why how which if in on at by for from with as after before but and or so "
    "yet now not no yes once while although though because since until however meanwhile thus therefore "
    "finally next later also even only all some many most each every both another nobody nothing everyone "
    "everything something somebody did do does is are was were can could will would should might must have "
    "has had let please maybe perhaps today tomorrow yesterday soon still two three four five six seven eight "
    "nine ten despite during unless without within whenever don isn aren wasn weren didn doesn couldn wouldn "
    "won shouldn",
    "de": "der die das den dem des ein eine einen einem einer es er sie wir ihr ich du man sein seine ihre ihren "
    "mein meine unser unsere dein deine dieser diese dieses diesen jener jede jeder jedes alle viele manche "
    "einige kein keine dann da dort hier jetzt nun heute morgen gestern wenn weil als ob obwohl während "
    "nachdem bevor bis seit in im an am auf aus bei mit nach von vom vor zu zum zur über unter um für gegen "
    "ohne durch und oder aber doch denn sondern nicht auch nur noch schon so wie was wer wo warum wann welche "
    "welcher wieso deshalb daher trotzdem außerdem danach zuerst später schließlich ist sind war waren hat "
    "haben hatte wird werden kann können muss soll will bitte ja nein",
    "fr": "le la les l un une des du de d il elle ils elles on nous vous je j tu ce c cet cette ces son sa ses leur "
    "leurs mon ma mes notre votre puis alors ensuite enfin après avant quand lorsque si comme pour par dans "
    "en sur sous avec sans chez mais et ou or donc car ni ne n pas plus très qui que qu quoi où comment "
    "pourquoi combien quel quelle aujourd hier demain ici là voici voilà bien oui non est-ce aucun chaque "
    "tout tous toute toutes",
    "es": "el la los las lo un una unos unas él ella ellos ellas nosotros usted ustedes yo tú se su sus mi mis "
    "nuestro este esta esto estos estas ese esa eso aquel aquella luego después entonces antes cuando si como "
    "porque aunque mientras para por en con sin sobre desde hasta de del a al pero y e o u ni no sí también "
    "ya muy más hay es son fue era está están tiene hoy ayer mañana aquí allí ahora qué quién cuál dónde cómo "
    "cuándo todo todos cada otro fin gracias le les me te nos",
    "it": "il lo la i gli le l un uno una un' egli ella lui lei loro noi voi io tu si suo sua suoi sue mio mia "
    "nostro questo questa questi queste quello quella poi dopo allora prima quando se come perché poiché "
    "mentre per in con senza su da dal di del dei della a al alla ma e ed o né non sì anche già molto più c è "
    "sono era ha hanno oggi ieri domani qui lì ora che chi quale dove tutto tutti ogni altro bene ne ci vi mi "
    "ti",
    "nl": "de het een hij zij ze wij we jij je u ik er dit dat deze die zijn haar hun ons onze mijn jouw toen dan "
    "daarna daarom later eerst als wanneer omdat hoewel terwijl voor na in op aan bij met van uit over onder "
    "om tegen zonder door te tot maar en of want dus niet ook nog al zo hoe wat wie waar waarom is was waren "
    "heeft hebben had wordt worden kan vandaag gisteren morgen hier daar nu ja nee goed",
    "pt": "o a os as um uma uns umas ele ela eles elas nós você vocês eu tu se seu sua seus suas meu minha nosso "
    "este esta isto estes estas esse essa isso aquele aquela depois então antes quando como porque embora "
    "enquanto para por pelo pela em no na nos nas com sem sobre desde até de do da dos das ao à mas e ou nem "
    "não sim também já muito mais há é são foi era está estão tem hoje ontem amanhã aqui ali agora que quem "
    "qual onde todo todos cada outro fim",
    "da": "den det de en et han hun vi i jeg du man der dette denne disse så da når hvis fordi men og eller ikke "
    "også efter før på til fra med for hvad hvem hvor hvorfor hvordan er var har havde nu her",
    "nb": "den det de en et ei han hun vi dere jeg du man der dette denne disse så da når hvis fordi men og eller "
    "ikke også etter før i på til fra med for hva hvem hvor hvorfor hvordan er var har hadde nå her",
    "sv": "den det de en ett han hon vi ni jag du man där detta denna dessa så då när om eftersom men och eller "
    "inte också efter före i på till från med för vad vem var varför hur är har hade nu här bra",
    "fi": "se hän he me te minä sinä tämä nämä ne sitten kun jos koska mutta ja tai ei myös nyt siellä täällä missä "
    "mitä kuka miksi on oli ovat",
    "pl": "to ten ta te on ona oni one my wy ja ty tam tu potem wtedy gdy kiedy jeśli ponieważ ale i lub nie także "
    "po przed w we na do z ze od dla o co kto gdzie dlaczego jak jest był była są ma teraz dziś",
    "cs": "to ten ta ti on ona oni my vy já ty tam tady pak potom když jestli protože ale a nebo ne také po před v "
    "ve na do z ze od pro o co kdo kde proč jak je byl byla jsou má teď dnes",
    "sk": "to ten tá tí on ona oni my vy ja ty tam tu potom keď ak pretože ale a alebo nie tiež po pred v vo na do "
    "z zo od pre o čo kto kde prečo ako je bol bola sú má teraz dnes",
    "hu": "a az ez egy ő ők mi ti én te ott itt majd aztán amikor ha mert de és vagy nem is most ki hol miért "
    "hogyan van volt",
    "ru": "он она оно они мы вы я ты это этот эта эти тот та те там тут здесь потом затем когда если потому но а и "
    "или не также после перед в во на до из от для о об что кто где почему как есть был была было были теперь "
    "сейчас сегодня вчера завтра его её их наш ваш все всё каждый у с со по при за",
    "uk": "він вона воно вони ми ви я ти це цей ця ці той та ті там тут потім коли якщо тому але а і й або не також "
    "після перед в у на до з із від для о про що хто де чому як є був була було були тепер зараз сьогодні",
    "tr": "bu şu o biz siz onlar ben sen bir sonra önce ama ve veya çünkü eğer ne kim nerede neden nasıl var yok "
    "şimdi bugün",
    "el": "ο η το οι τα ένας μια ένα αυτός αυτή αυτό εμείς εσείς εγώ εσύ εκεί εδώ μετά όταν αν γιατί αλλά και ή δεν "
    "επίσης τώρα σήμερα τι ποιος πού πώς είναι ήταν",
    "ro": "el ea ei ele noi voi eu tu acesta aceasta apoi când dacă pentru dar și sau nu în pe la de cu ce cine "
    "unde este a",
    "hr": "on ona oni mi vi ja ti to taj ta tamo ovdje zatim kada ako jer ali i ili ne u na do iz od za što tko "
    "gdje je su",
    "ca": "el la els les un una ell ella ells nosaltres jo tu després quan si perquè però i o no també en amb de a "
    "què qui",
}
