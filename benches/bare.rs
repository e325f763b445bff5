//! The bare server: a lower bound for scripts/bench to compare with. It does the minimum that pages like ours need,
//! with the same libraries. Each path is one page, of the size in bytes that the path gives; each worker has its own
//! connections. There are no checks and no logs.
//!
//! Usage: `bare serve ADDRESS`, `bare sql < STATEMENTS` (prints the numbers they return), `bare jpeg > FILE`. `serve`
//! needs DATABASE_URL and REDIS_URL, `sql` needs DATABASE_URL.

use std::cell::RefCell;
use std::error::Error;
use std::io::{Read, Write};
use std::sync::LazyLock;

use actix_web::error::ErrorInternalServerError;
use actix_web::http::header::{ContentType, LOCATION};
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{App, HttpResponse, HttpServer};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use askama::Template;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Either, Row};
use tokio::sync::Semaphore;

/// Database connections per worker: enough to keep both cores busy, measured with 32 clients.
const CONNECTIONS: usize = 4;
const KEY: &str = "bare:session";

static FILLER: LazyLock<String> = LazyLock::new(|| "<p>What fills the page to its size.</p>\n".repeat(4096));

type Post = (i64, i64, String, String, DateTime<Utc>);

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title></head><body><h1>{{ title }}</h1><ol>
{% for (id, user_id, name, content, at) in posts -%}
<li id="micropost-{{ id }}"><a href="/users/{{ user_id }}">{{ name }}</a> {{ content }}
<time>{{ at.timestamp() }}</time></li>
{% endfor %}</ol>"#
)]
struct Page<'a> {
    title: &'a str,
    posts: &'a [Post],
}

/// State of one worker thread.
struct Worker {
    redis: MultiplexedConnection,
    database: MySqlConnectOptions,
    idle: RefCell<Vec<MySqlConnection>>,
    permits: Semaphore,
    argon2: Argon2<'static>,
    memory: RefCell<Vec<Block>>,
}

impl Worker {
    async fn start() -> Result<Worker, Box<dyn Error>> {
        let mut redis =
            redis::Client::open(std::env::var("REDIS_URL")?)?.get_multiplexed_async_connection().await?;
        let () = redis.set(KEY, "Visitor").await?;
        let params = Params::new(19 * 1024, 2, 1, None)?;
        let memory = vec![Block::new(); params.block_count()];
        Ok(Worker {
            redis,
            // Without TLS, like the application in this benchmark.
            database: database()?.ssl_mode(MySqlSslMode::Disabled),
            idle: RefCell::default(),
            permits: Semaphore::new(CONNECTIONS),
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            memory: RefCell::new(memory),
        })
    }

    /// A connection, which the caller returns to `idle` after its query. If the client disconnects, it is dropped
    /// instead and replaced later.
    async fn connection(&self) -> sqlx::Result<MySqlConnection> {
        let idle = self.idle.borrow_mut().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => self.database.connect().await,
        }
    }

    async fn posts(&self, user_id: i64) -> actix_web::Result<Vec<Post>> {
        let _permit = self.permits.acquire().await.map_err(ErrorInternalServerError)?;
        let mut connection = self.connection().await.map_err(ErrorInternalServerError)?;
        let posts = sqlx::query_as(
            "SELECT m.id, m.user_id, users.name, m.content, m.created_at FROM microposts m \
             JOIN users ON users.id = m.user_id WHERE m.user_id = ? ORDER BY m.created_at DESC, m.id DESC LIMIT 30",
        )
        .bind(user_id)
        .fetch_all(&mut connection)
        .await
        .map_err(ErrorInternalServerError)?;
        self.idle.borrow_mut().push(connection);
        Ok(posts)
    }

    async fn insert(&self, user_id: i64, content: &str) -> actix_web::Result<()> {
        let _permit = self.permits.acquire().await.map_err(ErrorInternalServerError)?;
        let mut connection = self.connection().await.map_err(ErrorInternalServerError)?;
        sqlx::query(
            "INSERT INTO bare_microposts (user_id, content, picture, created_at) VALUES (?, ?, NULL, ?)",
        )
        .bind(user_id)
        .bind(content)
        .bind(Utc::now())
        .execute(&mut connection)
        .await
        .map_err(ErrorInternalServerError)?;
        self.idle.borrow_mut().push(connection);
        Ok(())
    }
}

/// A page padded to `bytes`.
fn page(title: &str, posts: &[Post], bytes: usize) -> actix_web::Result<HttpResponse> {
    let mut html = String::with_capacity(bytes.max(8192));
    Page { title, posts }.render_into(&mut html).map_err(ErrorInternalServerError)?;
    html.push_str(FILLER.get(..bytes.saturating_sub(html.len())).unwrap_or(&FILLER));
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(html))
}

async fn static_page(bytes: Path<usize>) -> actix_web::Result<HttpResponse> {
    page("Bare", &[], *bytes)
}

async fn one_get(worker: Data<Worker>, bytes: Path<usize>) -> actix_web::Result<HttpResponse> {
    let name: String = worker.redis.clone().get(KEY).await.map_err(ErrorInternalServerError)?;
    page(&name, &[], *bytes)
}

async fn one_get_one_query(
    worker: Data<Worker>,
    path: Path<(i64, usize)>,
) -> actix_web::Result<HttpResponse> {
    let (user_id, bytes) = path.into_inner();
    let name: String = worker.redis.clone().get(KEY).await.map_err(ErrorInternalServerError)?;
    page(&name, &worker.posts(user_id).await?, bytes)
}

/// Reads the body without parsing it, and inserts one row.
async fn one_insert(worker: Data<Worker>, user_id: Path<i64>, _: Bytes) -> actix_web::Result<HttpResponse> {
    worker.insert(*user_id, "Deployed on a Friday. The weekend was quiet.").await?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish())
}

/// Only the Argon2id hash of a log-in.
async fn one_hash(worker: Data<Worker>, password: Bytes) -> actix_web::Result<HttpResponse> {
    let mut hash = [0; Params::DEFAULT_OUTPUT_LEN];
    let memory = &mut worker.memory.borrow_mut()[..];
    worker
        .argon2
        .hash_password_into_with_memory(&password, b"sixteen bytes ..", &mut hash, memory)
        .map_err(|error| ErrorInternalServerError(error.to_string()))?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish())
}

/// TLS if the server supports it: MySQL accepts the first log-in with a password only over TLS.
fn database() -> Result<MySqlConnectOptions, Box<dyn Error>> {
    let options: MySqlConnectOptions = std::env::var("DATABASE_URL")?.parse()?;
    Ok(options.disable_statement_logging())
}

async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let app = || {
        App::new()
            .data_factory(Worker::start)
            .route("/static/{bytes}", web::get().to(static_page))
            .route("/get/{bytes}", web::get().to(one_get))
            .route("/rows/{user}/{bytes}", web::get().to(one_get_one_query))
            .route("/insert/{user}", web::post().to(one_insert))
            .route("/hash", web::post().to(one_hash))
    };
    Ok(HttpServer::new(app).bind(address)?.run().await?)
}

async fn sql() -> Result<(), Box<dyn Error>> {
    let mut statements = String::new();
    std::io::stdin().read_to_string(&mut statements)?;
    let mut connection = database()?.connect().await?;
    let mut results = sqlx::raw_sql(AssertSqlSafe(statements)).fetch_many(&mut connection);
    while let Some(result) = results.try_next().await? {
        if let Either::Right(row) = result
            && let Ok(number) = row.try_get::<i64, _>(0)
        {
            println!("{number}");
        }
    }
    Ok(())
}

/// Always the same photo of 4,000 x 3,000 pixels and about 4 MB: smooth colours with noise like a camera's.
fn jpeg() -> Result<(), Box<dyn Error>> {
    let mut noise = 1_u32;
    let photo = RgbImage::from_fn(4000, 3000, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (noise >> 24) as u8 % 36;
        let wave = |scale: f32| (110.0 + 90.0 * ((x as f32 / scale).sin() * (y as f32 / scale).cos())) as u8;
        [wave(311.0), wave(173.0), wave(547.0)].map(|colour| colour + grain).into()
    });
    let mut file = Vec::new();
    photo.write_with_encoder(JpegEncoder::new_with_quality(&mut file, 85))?;
    Ok(std::io::stdout().write_all(&file)?)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(address).await,
        ["sql"] => sql().await,
        ["jpeg"] => jpeg(),
        _ => Err("bare serve ADDRESS | bare sql | bare jpeg".into()),
    }
}
