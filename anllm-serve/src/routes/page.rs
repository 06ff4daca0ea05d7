//! The page, which is part of the program.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::App;

macro_rules! files {
    ($($path:literal, $kind:literal, $file:literal;)*) => {
        [$(($path, $kind, include_str!(concat!("../page/", $file)))),*]
    };
}

/// Path, type and content of each file.
const FILES: [(&str, &str, &str); 6] = files![
    "/", "text/html; charset=utf-8", "index.html";
    "/page/style.css", "text/css; charset=utf-8", "style.css";
    "/page/main.js", "text/javascript; charset=utf-8", "main.js";
    "/page/api.js", "text/javascript; charset=utf-8", "api.js";
    "/page/lane.js", "text/javascript; charset=utf-8", "lane.js";
    "/page/chart.js", "text/javascript; charset=utf-8", "chart.js";
];

pub(crate) fn routes() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new(), |router, (path, kind, content)| {
        let answer = || async {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache")], *content).into_response()
        };
        router.route(path, get(answer))
    })
}
