const WORDS = {
  en: {
    ask: "Token", enter: "Log in", where: "It is in the site's file “token”.",
    other: "That is another token.", often: "Too many tries. Wait a minute.", away: "No answer. Is the program running?",
  },
  ko: {
    ask: "토큰", enter: "로그인", where: "사이트 폴더의 “token” 파일에 있습니다.",
    other: "토큰이 맞지 않습니다.", often: "너무 많이 시도했습니다. 잠시 후 다시 하세요.", away: "응답이 없습니다. 프로그램이 실행 중인가요?",
  },
};
const at = (id) => document.getElementById(id);
let language = localStorage.getItem("language") ?? (navigator.language.startsWith("ko") ? "ko" : "en");
let said = "";

function show() {
  document.documentElement.lang = language;
  for (const id of ["ask", "enter", "where"]) at(id).textContent = WORDS[language][id];
  at("said").textContent = said && WORDS[language][said];
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
    said = answer.ok ? "" : answer.status === 429 ? "often" : "other";
  } catch {
    said = "away";
  }
  show();
  at("token").select();
}

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
