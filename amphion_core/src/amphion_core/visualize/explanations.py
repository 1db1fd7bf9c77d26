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

SAMPLING = Explanation(
    "From noise to sound, step by step",
    "A diffusion model begins with pure noise, like the hiss between two radio stations. In each step a network "
    "guesses which part of the picture is noise, and a little of it is taken away; what you asked for guides the "
    "guess. The coarse shape appears first and the details last, so the slider shows when melody and voice come into "
    "being.",
    "x<sub>t&minus;1</sub> = (1 / &radic;&alpha;<sub>t</sub>) (x<sub>t</sub> &minus; (1 &minus; &alpha;<sub>t</sub>) "
    "/ &radic;(1 &minus; &alpha;&#772;<sub>t</sub>) &epsilon;<sub>&theta;</sub>(x<sub>t</sub>, t)) + "
    "&sigma;<sub>t</sub> z",
    "The next data is the present data minus a share of the noise epsilon that the network predicts, scaled, plus a "
    "little new noise z. Other samplers take larger steps along the same path. A consistency model jumps to the data "
    "in each step, and adds new noise before the next one.",
    'Ho, Jain, Abbeel: "Denoising Diffusion Probabilistic Models", algorithm 2.',
    "https://arxiv.org/abs/2006.11239",
)

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
