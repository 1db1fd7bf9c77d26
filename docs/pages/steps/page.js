"use strict";
// Moves the sliders, switches and buttons of a page. What they show is in data.js; without this script the page can
// still be read, because every picture and sound is in the HTML.

const data = window.amphionPage;

// A symbol's button plays its part of the sound.
document.querySelectorAll(".timeline").forEach((timeline) => {
  const audio = timeline.querySelector("audio");
  const head = timeline.querySelector(".playhead");
  let end = Infinity;
  timeline.querySelectorAll(".times button").forEach((button) => {
    button.addEventListener("click", () => {
      timeline.querySelectorAll("button.on").forEach((other) => other.classList.remove("on"));
      button.classList.add("on");
      end = Number(button.dataset.end);
      audio.currentTime = Number(button.dataset.start);
      audio.play().catch(() => {});  // a pause before the sound has begun is no error
    });
  });
  audio.addEventListener("timeupdate", () => {
    head.style.left = `${(100 * audio.currentTime) / (Number(timeline.dataset.seconds) || 1)}%`;
    if (audio.currentTime >= end) { audio.pause(); end = Infinity; }
  });
});

function swap(audio, address) {  // keeps on playing where the sound before was playing
  if (audio.getAttribute("src") === address) return;
  const playing = !audio.paused && !audio.ended, at = audio.currentTime;
  audio.src = address;
  if (playing) { audio.currentTime = at; audio.play().catch(() => {}); }
}

// A film strip: one slider moves the pictures, the sounds and the marks in the curves.
document.querySelectorAll(".strip").forEach((strip) => {
  const frames = data.strips[strip.dataset.strip];
  const slider = strip.querySelector("input[type=range]"), output = strip.querySelector("output");
  const play = strip.querySelector("button.film");
  let timer = null;
  function show() {
    const frame = frames[Number(slider.value)];
    output.textContent = frame.label;
    slider.setAttribute("aria-valuetext", frame.label);
    strip.querySelectorAll("img.frame").forEach((image, index) => {
      image.src = frame.images[index];
      image.alt = `${image.dataset.label}, ${frame.label}`;
    });
    strip.querySelectorAll("audio.frame").forEach((audio, index) => {
      if (frame.sounds[index]) swap(audio, frame.sounds[index]);
    });
    strip.querySelectorAll("svg.chart[data-x0]").forEach((chart) => {
      const { x0, x1, left, right } = chart.dataset, marker = chart.querySelector(".marker");
      const x = Number(left) + ((frame.x - x0) / (x1 - x0)) * (right - left);
      marker.setAttribute("x1", x);
      marker.setAttribute("x2", x);
    });
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play the steps";
  }
  slider.addEventListener("input", show);
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (Number(slider.value) === frames.length - 1) slider.value = 0;
    play.textContent = "Stop";
    show();
    timer = setInterval(() => {
      if (Number(slider.value) === frames.length - 1) return stop();
      slider.value = Number(slider.value) + 1;
      show();
    }, 600);
  });
  show();
});

// Switches: each set of switches that are on has its own picture and sound.
document.querySelectorAll(".switches").forEach((lab) => {
  const states = data.switches[lab.dataset.switches];
  const boxes = [...lab.querySelectorAll("input[type=checkbox]")];
  const image = lab.querySelector("img.frame"), audio = lab.querySelector("audio.frame"), output = lab.querySelector("output");
  function show() {
    const state = states[boxes.map((box) => (box.checked ? "1" : "0")).join("")];
    output.textContent = state ? state.label : "All levels are off: nothing is left to decode.";
    image.hidden = audio.hidden = !state;
    if (!state) return audio.pause();
    image.src = state.image;
    image.alt = `Spectrogram, ${state.label}`;
    swap(audio, state.sound);
  }
  boxes.forEach((box) => box.addEventListener("change", show));
  show();
});
