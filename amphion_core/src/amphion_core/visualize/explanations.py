"""What each kind of chapter teaches: three sentences for a beginner, one equation, and the paper that it is from."""

from amphion_core.visualize.page import Explanation

SPEECH = Explanation(
    "From text to speech, step by step",
    "Most systems do not read letters directly: they first write the text as symbols for sounds, so-called "
    "phonemes. The network then decides for each symbol how long it lasts, how high and how loud it is, and paints a "
    "mel spectrogram, a picture of how much energy each pitch has at each time. A vocoder turns this picture into the "
    "wave that you hear; other networks, such as VITS, decide only the durations and make the wave without this "
    "picture.",
    "N = &Sigma;<sub>l</sub> d<sub>l</sub>, &nbsp; h&prime; = (h<sub>1</sub>, &hellip;, h<sub>1</sub>, h<sub>2</sub>, "
    "&hellip;, h<sub>2</sub>, &hellip;) &nbsp; with h<sub>l</sub> repeated d<sub>l</sub> times",
    "The number of frames N is the sum of the durations d of all symbols; the state h of each symbol is repeated as "
    "many times as its duration says.",
    'Ren et al.: "FastSpeech 2: Fast and High-Quality End-to-End Text to Speech", section 2; the length regulator.',
    "https://arxiv.org/abs/2006.04558",
)

CODE_SPEECH = Explanation(
    "From text to speech, code by code",
    "This model writes speech as language models write text: one piece after another. It reads the symbols of the text "
    "and a recording of the voice as codes of a neural codec, and guesses the next code of the first codebook again "
    "and again, until it guesses the end; it decides no duration of a symbol beforehand. A second network adds the "
    "other codebooks, each for all frames at once, and the codec turns all codes into the wave that you hear.",
    "p(c | x, c&#771;) = &Pi;<sub>n</sub> p(c<sub>n,1</sub> | c<sub>&lt;n,1</sub>, x, c&#771;) &nbsp; "
    "&Pi;<sub>k&ge;2</sub> p(c<sub>k</sub> | c<sub>&lt;k</sub>, x, c&#771;)",
    "The probability of the codes c, given the text x and the codes of the prompt, is a product: each code of the "
    "first codebook depends on those before it, and each further codebook k on the codebooks before it.",
    'Wang et al.: "Neural Codec Language Models are Zero-Shot Text to Speech Synthesizers", section 4.',
    "https://arxiv.org/abs/2301.02111",
)

OTHER_SPEECH = Explanation(
    "From text to speech, step by step",
    "Most systems do not read letters directly: they first write the text as symbols for sounds, so-called "
    "phonemes. A network turns the symbols into speech, directly or by way of a picture of it, the mel spectrogram. "
    "This page shows what this model reported while it did so.",
    "y = g(f(x))",
    "The wave y is made by a decoder g from what an encoder f finds in the symbols x.",
    'Tan et al.: "A Survey on Neural Speech Synthesis", on encoders and decoders.',
    "https://arxiv.org/abs/2106.15561",
)

NOISE_TO_SOUND = "From noise to sound, step by step"


def _sampling(guess: str, equation: str, in_words: str, paper: str, address: str) -> Explanation:
    """The chapter about a sampler; ``guess`` says what the network does in each step."""
    return Explanation(
        NOISE_TO_SOUND,
        f"The model begins with pure noise, like the hiss between two radio stations. {guess}; what you asked for "
        "guides the guess. The coarse shape appears first and the details last, so the slider shows when melody and "
        "voice come into being.",
        equation, in_words, paper, address,
    )  # fmt: skip


SAMPLING = {  # by the detail ``method`` of the steps that a sampler reports
    "noise": _sampling(
        "In each step a network guesses which part of the picture is noise, and a little of it is taken away",
        "x<sub>t&minus;1</sub> = (1 / &radic;&alpha;<sub>t</sub>) (x<sub>t</sub> &minus; (1 &minus; "
        "&alpha;<sub>t</sub>) / &radic;(1 &minus; &alpha;&#772;<sub>t</sub>) "
        "&epsilon;<sub>&theta;</sub>(x<sub>t</sub>, t)) + &sigma;<sub>t</sub> z",
        "The next data is the present data minus a share of the noise epsilon that the network predicts, scaled, plus "
        "a little new noise z. Other samplers take larger steps along the same path, most of them without new noise.",
        'Ho, Jain, Abbeel: "Denoising Diffusion Probabilistic Models", algorithm 2.',
        "https://arxiv.org/abs/2006.11239",
    ),
    "velocity": _sampling(
        "In each step a network guesses the velocity, the direction that leads from the finished picture to noise, and "
        "the picture moves a little the other way",
        "x&#770;<sub>0</sub> = &radic;&alpha;&#772;<sub>t</sub> x<sub>t</sub> &minus; &radic;(1 &minus; "
        "&alpha;&#772;<sub>t</sub>) v<sub>&theta;</sub>(x<sub>t</sub>, t)",
        "The data that a step aims at is the present data minus the velocity v that the network predicts, both "
        "weighted by the level of the noise.",
        'Salimans, Ho: "Progressive Distillation for Fast Sampling of Diffusion Models", on the prediction of v.',
        "https://arxiv.org/abs/2202.00512",
    ),
    "sample": _sampling(
        "In each step a network guesses the finished picture, and the present one moves a little towards the guess",
        "x<sub>t&minus;1</sub> = &radic;&alpha;&#772;<sub>t&minus;1</sub> x<sub>&theta;</sub> + &radic;(1 &minus; "
        "&alpha;&#772;<sub>t&minus;1</sub>) (x<sub>t</sub> &minus; &radic;&alpha;&#772;<sub>t</sub> "
        "x<sub>&theta;</sub>) / &radic;(1 &minus; &alpha;&#772;<sub>t</sub>)",
        "The next data is a mixture of the data x theta that the network predicts and of the noise that is then left "
        "in the present data. Other samplers combine several steps, or add new noise.",
        'Song, Meng, Ermon: "Denoising Diffusion Implicit Models", equation 12 without new noise.',
        "https://arxiv.org/abs/2010.02502",
    ),
    "edm": _sampling(
        "In each step a network guesses the finished picture, and the present one moves towards the guess as far as "
        "the noise shall fall",
        "x<sub>i+1</sub> = x<sub>i</sub> + (&sigma;<sub>i+1</sub> &minus; &sigma;<sub>i</sub>) (x<sub>i</sub> &minus; "
        "D<sub>&theta;</sub>(x<sub>i</sub>, &sigma;<sub>i</sub>)) / &sigma;<sub>i</sub>",
        "The next data is the present data plus the change of the noise level sigma times the slope: the difference "
        "from the data D that the network predicts, over the level.",
        'Karras et al.: "Elucidating the Design Space of Diffusion-Based Generative Models", algorithm 1.',
        "https://arxiv.org/abs/2206.00364",
    ),
    "consistency": _sampling(
        "In each step a network jumps to the finished picture at once, and before the next step new noise is added, "
        "less each time",
        "x = f<sub>&theta;</sub>(x&#770;, &tau;), &nbsp; x&#770; = x + &radic;(&tau;<sup>2</sup> &minus; "
        "&epsilon;<sup>2</sup>) z",
        "The data x is what the network f makes of noisy data at once; for the next jump, new noise z of the level tau "
        "is added to it.",
        'Song et al.: "Consistency Models", algorithm 1.',
        "https://arxiv.org/abs/2303.01469",
    ),
    "": _sampling(
        "In each step a network guesses how the picture should change, and it changes a little",
        "x<sub>t&minus;1</sub> = S(x<sub>t</sub>, f<sub>&theta;</sub>(x<sub>t</sub>, t), t)",
        "The next data is made by the sampler S from the present data and what the network f predicts for it.",
        'Yang et al.: "Diffusion Models: A Comprehensive Survey of Methods and Applications".',
        "https://arxiv.org/abs/2209.00796",
    ),
}

SINGING = Explanation(
    "The melody before and after the conversion",
    "A converter changes who sings, and should keep what is sung: the melody, here the fundamental frequency F0, and "
    "the loudness. Compare the curve of the result with that of the song, moved to the key of the new singer. Shaded "
    "places are errors: a wrong pitch, or a voice where there should be none.",
    "e<sub>n</sub> = 12 log<sub>2</sub>(f&#770;<sub>n</sub> / (f<sub>n</sub> 2<sup>k/12</sup>))",
    "The error e in semitones of frame n is twelve times the logarithm to base two of the F0 of the result over the "
    "F0 of the song, moved by the key k in semitones.",
    'Huang et al.: "The Singing Voice Conversion Challenge 2023", on what is kept and what is changed.',
    "https://arxiv.org/abs/2306.14422",
)

ATTENTION = Explanation(
    "Which frame belongs to which symbol",
    "Speech runs through its text from the beginning to the end, so a good alignment is a line from the lower left to "
    "the upper right corner that never goes back. The soft alignment shows how sure the network is about each frame, "
    "and the monotonic path is the best line through it. The score tells how near to the diagonal the weights lie: 1 "
    "is on it, and a number much smaller often means that symbols are skipped or repeated.",
    "D = 1 &minus; (1/N) &Sigma;<sub>n</sub> &Sigma;<sub>l</sub> A<sub>nl</sub> (1 &minus; exp(&minus;(n/N &minus; "
    "l/L)<sup>2</sup> / 2g<sup>2</sup>)), &nbsp; g = 0.2",
    "The diagonality D is one minus the mean over frames of the attention weights A, each weighted by a penalty that "
    "grows with the distance of its frame and its symbol from the diagonal.",
    'Tachibana, Uenoyama, Aihara: "Efficiently Trainable Text-to-Speech System Based on Deep Convolutional Networks '
    'with Guided Attention", section 4.1.',
    "https://arxiv.org/abs/1710.08969",
)

SELF_ATTENTION = Explanation(
    "What the symbols look at",
    "Inside a Transformer, every symbol and every frame collects information from all others; this is called "
    "attention. Each row of a picture belongs to one that reads, and bright places are those that it reads from. "
    "Different heads learn different habits: some read their neighbours, which is near the diagonal, and others look "
    "for pauses or for the end of the sentence wherever it is.",
    "A = softmax(Q K<sup>T</sup> / &radic;d)",
    "The attention A is the softmax of the products of the queries Q and the keys K, divided by the square root of "
    "their size d.",
    'Vaswani et al.: "Attention Is All You Need", section 3.2.1.',
    "https://arxiv.org/abs/1706.03762",
)

VOCODERS = Explanation(
    "One mel, several vocoders",
    "A mel spectrogram says how loud each band is, but not the phase of the wave, so many waves have the same "
    "picture. Each vocoder invents the missing part in its own way; the difference pictures show where its sound "
    "leaves the recording. The rising tone at the end shows aliasing: frequencies that a vocoder cannot hold come "
    "back as wrong ones, mirrored lines that run against the tone.",
    "f<sub>alias</sub> = |f &minus; f<sub>s</sub> round(f / f<sub>s</sub>)|",
    "A frequency f that is above half of the sample rate comes back as its distance from the nearest multiple of the "
    "sample rate.",
    'Lee et al.: "BigVGAN: A Universal Neural Vocoder with Large-Scale Training", on aliasing in vocoders.',
    "https://arxiv.org/abs/2206.04658",
)

CODEC = Explanation(
    "What each level of a codec adds",
    "A neural codec writes a sound as a few whole numbers a second. The first level stores the coarse shape, and "
    "every further level stores what the levels before it have left over. Switch levels off and hear what they were "
    "for: without the first one hardly anything can be understood, and without the last ones the sound only gets "
    "rougher.",
    "z &asymp; &Sigma;<sub>k</sub> q<sub>k</sub>, &nbsp; q<sub>k</sub> = Q<sub>k</sub>(z &minus; q<sub>1</sub> "
    "&minus; &hellip; &minus; q<sub>k&minus;1</sub>)",
    "The latent z is about the sum of the entries q of all levels; each level quantises what the levels before it "
    "left.",
    'Zeghidour et al.: "SoundStream: An End-to-End Neural Audio Codec", on residual vector quantisation.',
    "https://arxiv.org/abs/2107.03312",
)

TRAINING = Explanation(
    "How a model learns",
    "Training repeats one small step: compare what the model makes with what it should make, and change every weight "
    "a little so that the difference, the loss, gets smaller. The curve of the data that the model has never seen, "
    "the validation, tells whether it understands or only memorises. The samples let you hear what the numbers mean.",
    "&theta;<sub>t+1</sub> = &theta;<sub>t</sub> &minus; &eta; &nabla;<sub>&theta;</sub> L(&theta;<sub>t</sub>; "
    "x<sub>t</sub>)",
    "The new weights theta are the old ones minus the learning rate eta times the gradient of the loss L for the data "
    "x.",
    'Robbins, Monro: "A Stochastic Approximation Method" (1951); what most networks use today: Kingma, Ba: "Adam".',
    "https://arxiv.org/abs/1412.6980",
)

STAGES = Explanation(
    "What the model reported",
    "A network is a chain of steps, and each step turns some numbers into others. This model reported some of them "
    "while it worked. Bright places in a picture are large numbers.",
    "y = f<sub>K</sub>(&hellip; f<sub>2</sub>(f<sub>1</sub>(x)) &hellip;)",
    "The output y is the result of K steps f, one after another, applied to the input x.",
    'Rumelhart, Hinton, Williams: "Learning representations by back-propagating errors", Nature 323 (1986).',
    "https://doi.org/10.1038/323533a0",
)
