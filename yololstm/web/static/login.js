const WORDS = {
  en: {
    ask: "Token", enter: "Log in", where: "The site's token: in the file “token” of its folder, unless the program was given another.", show: "Show", hide: "Hide",
    other: "That is another token.", often: "Too many tries. Wait a minute.", away: "No answer. Is the program running?",
  },
  ko: {
    ask: "토큰", enter: "로그인", where: "사이트의 토큰입니다. 따로 정하지 않았다면 사이트 폴더의 “token” 파일에 있습니다.", show: "보이기", hide: "숨기기",
    other: "토큰이 맞지 않습니다.", often: "너무 많이 시도했습니다. 잠시 후 다시 하세요.", away: "응답이 없습니다. 프로그램이 실행 중인가요?",
  },
};
const at = (id) => document.getElementById(id);
let language = localStorage.getItem("language");
if (!Object.hasOwn(WORDS, language ?? "")) language = navigator.language.startsWith("ko") ? "ko" : "en";
/** A key of WORDS, or what the server said. */
let said = "";

function show() {
  document.documentElement.lang = language;
  for (const id of ["ask", "enter", "where"]) at(id).textContent = WORDS[language][id];
  at("said").textContent = WORDS[language][said] ?? said;
  at("show").textContent = WORDS[language][at("token").type === "password" ? "show" : "hide"];
  at("language").textContent = language === "ko" ? "English" : "한국어";
  at("language").lang = language === "ko" ? "en" : "ko";
}

async function enter() {
  try {
    const answer = await fetch("/api/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: at("token").value.trim() }),
    });
    if (answer.ok) location.replace("/" + location.hash);
    said = answer.ok ? "" : ({ 401: "other", 429: "often" }[answer.status] ?? (await told(answer)));
  } catch {
    said = "away";
  }
  show();
  at("token").select();
}

/** Why it was refused, as far as that can be read. */
async function told(answer) {
  try {
    const { problem, remedy } = (await answer.json()).error;
    return `${problem}. ${remedy}`;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

at("show").addEventListener("click", () => {
  at("token").type = at("token").type === "password" ? "text" : "password";
  show();
  at("token").focus();
});
at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  enter();
});
at("language").addEventListener("click", () => {
  language = language === "ko" ? "en" : "ko";
  localStorage.setItem("language", language);
  show();
});
show();
