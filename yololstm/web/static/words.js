/** What the page says, in the language of whoever reads it. */
const WORDS = {
  en: {
    skip: "Skip to content", views: "Views", live: "Live", events: "Events", zones: "Zones", system: "System",
    leave: "Log out", language: "한국어", online: "Connected", offline: "Not connected",
    no_cameras: "No camera is watched.", picture_of: "What {camera} shows",
    state_connecting: "Connecting", state_live: "Live", state_lost: "Lost", state_ended: "Ended", state_failed: "Failed",
    since: "since {time}", frames: "{fps} frames/s", dropped: "{n} dropped", delay: "{s} s behind",
    nobody: "Nobody is seen.", person: "Person {track}", unsure: "not known yet", last_minute: "Last 60 s", now: "now",
    label_theft: "theft", label_assault: "assault", label_damage: "damage", label_normal: "normal",
    camera: "Camera", label: "Behaviour", verdict: "Feedback", day: "Day", all: "All", clear: "Clear filters",
    right: "Right", wrong: "Wrong", no_events: "No events.", older: "Load older", going_on: "going on",
    seconds: "{s} s", minutes: "{m} min {s} s", probability: "Probability", started: "Started", duration: "Duration", state: "State", ended: "ended",
    close: "Close", download_clip: "Download clip", download_landmarks: "Landmarks", clip_of: "Clip of {label}, {camera}",
    no_clip: "No clip is kept of this event.", clip_to_come: "The clip is written once the event is over.",
    was_it: "Was it {label}?", what_was_it: "What was it instead?", unknown: "I do not know", judged_as: "was {label}",
    zones_about: "Draw where a behaviour counts, or where it is ignored. A person stands where their feet are.",
    draw: "Draw zone", rectangle: "Add rectangle", save: "Save", discard: "Discard", finish: "Finish", cancel: "Cancel",
    drawing: "Click the corners. Click the first one again, or Finish, to close it.",
    name: "Name", mode: "Mode", count: "counts only here", ignore: "ignored here", for_labels: "For", remove: "Delete", corner: "Corner {n} of {zone}",
    no_zones: "No zones: everything counts everywhere.", zone_n: "Zone {n}", saved: "Saved.", unsaved: "Not saved yet", all_labels: "all behaviours", leave_unsaved: "Zones are not saved. Leave anyway?",
    no_picture: "The camera shows nothing now.", keys: "Arrow keys move a corner that has the focus; Delete removes it.",
    cameras: "Cameras", receivers: "Receivers", lost_frames: "Dropped", began: "{label} at {camera}", waiting: "Waiting", refused: "Refused", sent: "Sent", oldest: "Oldest", no_receivers: "Nobody is told of events.",
    program: "Program", version: "Version", running_since: "Running since", free_disk: "Free disk", watching: "Open streams", api: "API", looked: "Looked at", read: "Read", size: "Size", connections: "Connections",
    cut_off: "No connection since {time}. Nothing here is up to date.", no_answer: "No answer from the program.", cameras_away: "cameras not live",
    not_judged: "not judged", take_back: "Take back", download_shared: "Download blurred clip", for_developers: "For developers",
    clip_written: "The clip is being written.", clip_never: "Clips are not recorded.", clip_gone: "The clip cannot be played. It may have been removed after its time.",
    undo: "Undo", corner_more: "Add a corner", corner_less: "Remove the corner", fingers: "Drag a zone, or one of its corners. Tap a corner to add one behind it, or to remove it.",
    count_means: "Everywhere else in the picture, it is not told.", uploads: "Uploads", trouble: "What went wrong", told_no_more: "no receiver any more",
    this_device: "This device", notify: "Notify me of events", notify_about: "While the page is open, in any tab.", notify_denied: "The browser does not allow it: see its settings for this page.", notify_cannot: "This browser notifies of events only over https, or on the machine itself.",
    failed: "That did not work: {why}",
  },
  ko: {
    skip: "본문으로 건너뛰기", views: "보기", live: "실시간", events: "이벤트", zones: "구역", system: "시스템",
    leave: "로그아웃", language: "English", online: "연결됨", offline: "연결 안 됨",
    no_cameras: "감시 중인 카메라가 없습니다.", picture_of: "{camera} 화면",
    state_connecting: "연결 중", state_live: "실시간", state_lost: "연결 끊김", state_ended: "종료됨", state_failed: "오류",
    since: "{time}부터", frames: "초당 {fps}프레임", dropped: "{n}개 버림", delay: "{s}초 지연",
    nobody: "보이는 사람이 없습니다.", person: "사람 {track}", unsure: "아직 알 수 없음", last_minute: "최근 60초", now: "지금",
    label_theft: "절도", label_assault: "폭행", label_damage: "기물파손", label_normal: "정상",
    camera: "카메라", label: "행동", verdict: "피드백", day: "날짜", all: "전체", clear: "필터 지우기",
    right: "맞음", wrong: "틀림", no_events: "이벤트가 없습니다.", older: "이전 이벤트 더 보기", going_on: "진행 중",
    seconds: "{s}초", minutes: "{m}분 {s}초", probability: "확률", started: "시작", duration: "길이", state: "상태", ended: "끝남",
    close: "닫기", download_clip: "영상 내려받기", download_landmarks: "관절 좌표", clip_of: "{camera}의 {label} 영상",
    no_clip: "이 이벤트의 영상은 남아 있지 않습니다.", clip_to_come: "이벤트가 끝나면 영상이 저장됩니다.",
    was_it: "판정({label})이 맞나요?", what_was_it: "실제로는 무엇이었나요?", unknown: "모르겠음", judged_as: "실제: {label}",
    zones_about: "행동을 인정할 곳이나 무시할 곳을 그리세요. 사람의 위치는 발이 있는 곳입니다.",
    draw: "구역 그리기", rectangle: "사각형 추가", save: "저장", discard: "되돌리기", finish: "완료", cancel: "취소",
    drawing: "꼭짓점을 차례로 누르세요. 첫 꼭짓점을 다시 누르거나 완료를 누르면 닫힙니다.",
    name: "이름", mode: "방식", count: "이곳에서만 인정", ignore: "이곳에서는 무시", for_labels: "대상", remove: "삭제", corner: "{zone}의 꼭짓점 {n}",
    no_zones: "구역이 없습니다. 모든 곳에서 모두 인정합니다.", zone_n: "구역 {n}", saved: "저장했습니다.", unsaved: "아직 저장하지 않음", all_labels: "모든 행동", leave_unsaved: "구역을 저장하지 않았습니다. 그래도 나갈까요?",
    no_picture: "카메라 화면이 없습니다.", keys: "선택한 꼭짓점은 화살표 키로 옮기고 Delete 키로 지웁니다.",
    cameras: "카메라", receivers: "알림 수신처", lost_frames: "버림", began: "{camera}: {label}", waiting: "대기", refused: "거부됨", sent: "보냄", oldest: "가장 오래된 것", no_receivers: "알림 수신처가 없습니다.",
    program: "프로그램", version: "버전", running_since: "실행 시작", free_disk: "남은 디스크", watching: "열린 스트림", api: "API", looked: "분석", read: "읽음", size: "크기", connections: "연결 횟수",
    cut_off: "{time}부터 연결이 끊겼습니다. 지금 화면은 최신이 아닙니다.", no_answer: "프로그램이 응답하지 않습니다.", cameras_away: "대 실시간 아님",
    not_judged: "피드백 없음", take_back: "취소", download_shared: "모자이크 영상 내려받기", for_developers: "개발자용",
    clip_written: "영상을 저장하는 중입니다.", clip_never: "영상을 녹화하지 않습니다.", clip_gone: "영상을 재생할 수 없습니다. 보관 기간이 지나 지워졌을 수 있습니다.",
    undo: "한 점 취소", corner_more: "꼭짓점 추가", corner_less: "꼭짓점 삭제", fingers: "구역이나 꼭짓점을 끌어 옮기세요. 꼭짓점을 누르면 그 뒤에 추가하거나 지울 수 있습니다.",
    count_means: "화면의 다른 곳에서는 알리지 않습니다.", uploads: "업로드", trouble: "문제", told_no_more: "더 이상 수신처가 아님",
    this_device: "이 기기", notify: "이벤트 알림 받기", notify_about: "페이지가 열려 있는 동안 알립니다.", notify_denied: "브라우저가 허용하지 않습니다. 이 페이지의 브라우저 설정을 확인하세요.", notify_cannot: "이 브라우저는 https이거나 같은 기기일 때만 알릴 수 있습니다.",
    failed: "실패했습니다: {why}",
  },
};

let language = localStorage.getItem("language");
if (!Object.hasOwn(WORDS, language ?? "")) language = navigator.language.startsWith("ko") ? "ko" : "en";

export const spoken = () => language;

export function speak(other) {
  language = other;
  localStorage.setItem("language", other);
}

export function t(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A label's name; its own where nobody has translated it. */
export const label = (name) => WORDS[language][`label_${name}`] ?? name;

export const percent = (share) => `${Math.floor(100 * share)}%`;

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return t("seconds", { s: whole });
  return t("minutes", { m: Math.floor(whole / 60), s: whole % 60 });
}

/** The reader's own way to write the language: British days come before months. */
const locale = () => navigator.languages.find((one) => one.startsWith(language)) ?? language;

/** With the day, where it is not today. */
export function clock(time) {
  if (new Date(time).toDateString() !== new Date().toDateString()) return when(time);
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(new Date(time));
}

export function when(time) {
  return new Intl.DateTimeFormat(locale(), { month: "short", day: "numeric", weekday: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(new Date(time));
}

export function bytes(number) {
  return `${new Intl.NumberFormat(locale(), { maximumFractionDigits: 1 }).format(number / 1e9)} GB`;
}
