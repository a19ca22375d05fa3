use mmlog::repair::*;
fn main() {
    let p = std::env::args().nth(1).unwrap();
    let w: Vec<Wish> = std::env::args()
        .skip(2)
        .map(|a| match a.as_str() {
            "u" => Wish::Upgrade,
            "b" => Wish::Rebuild,
            "r" => Wish::Recreate,
            "p" => Wish::ClearPanic,
            _ => Wish::AcceptLoss,
        })
        .collect();
    let e = examine(&p, &mmlog::Log::options()).unwrap();
    println!("{:?}", e.facts());
    let plan = e.plan(&w);
    for s in &plan.steps {
        println!("step {s}");
    }
    for l in &plan.left {
        println!("left {l:?}");
    }
    if std::env::var("DRY").is_err() {
        println!("{:?}", plan.apply());
    }
    println!("{:?}", mmlog::check::deep(&p, &mmlog::Log::options()));
}
