//! The medians as an SVG: nanoseconds a message over its size, both logarithmic; a panel for each number of processes.

use std::fmt::Write as _;

use super::measure::{Row, median};

const WIDTH: f64 = 860.0;
const PANEL: f64 = 420.0;
/// The axes of a panel.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 660.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 370.0;
/// What the text of a size takes.
const LABEL: f64 = 50.0;
/// Okabe and Ito's colours, which colour-blind people can tell apart, and two greys for the floors.
const COLOURS: [&str; 10] = [
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#b8a800", "#999999",
    "#555555",
];

/// One picture of all rows.
pub(super) fn svg(rows: &[Row]) -> String {
    let mut panels: Vec<(usize, usize)> = rows.iter().map(|r| (r.group.processes, r.group.threads)).collect();
    panels.sort_unstable();
    panels.dedup();
    let height = PANEL * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let names = names(rows);
    for (n, &(processes, threads)) in panels.iter().enumerate() {
        let of: Vec<&Row> =
            rows.iter().filter(|r| (r.group.processes, r.group.threads) == (processes, threads)).collect();
        let _ = writeln!(svg, "<g transform=\"translate(0 {})\">", PANEL * n as f64);
        let title = format!("ns a message; processes: {processes}, threads of each: {threads}");
        text(&mut svg, LEFT, TOP - 16.0, "start", &title);
        panel(&mut svg, &of, &names);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn names(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    names
}

/// A logarithmic axis: values from `least` to `most` go from `from` to `to`.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(0.0, f64::max);
        // One value alone stands in the middle.
        let (least, most) = if most > least { (least, most) } else { (least / 2.0, most * 2.0) };
        Self { least: least.ln(), most: most.ln(), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value.ln() - self.least) / (self.most - self.least) * (self.to - self.from)
    }
}

fn panel(svg: &mut String, rows: &[&Row], names: &[&str]) {
    let points: Vec<(&str, f64, f64)> =
        rows.iter().filter_map(|r| Some((r.name.as_str(), r.group.size as f64, median(&r.ns)?))).collect();
    if points.is_empty() {
        return;
    }
    let x = Axis::over(points.iter().map(|p| p.1), LEFT, RIGHT);
    let y = Axis::over(points.iter().map(|p| p.2), BOTTOM, TOP);
    let mut sizes: Vec<usize> = rows.iter().map(|r| r.group.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut labelled = f64::NEG_INFINITY;
    for size in sizes {
        let at = x.at(size as f64);
        line(svg, (at, TOP), (at, BOTTOM));
        if at - labelled >= LABEL {
            text(svg, at, BOTTOM + 18.0, "middle", &format!("{size} B"));
            labelled = at;
        }
    }
    for power in 0..10 {
        let value = 10_f64.powi(power);
        if value.ln() >= y.least && value.ln() <= y.most {
            line(svg, (LEFT, y.at(value)), (RIGHT, y.at(value)));
            text(svg, LEFT - 8.0, y.at(value) + 4.0, "end", &value.to_string());
        }
    }
    for (n, name) in names.iter().enumerate() {
        let of: Vec<String> = points
            .iter()
            .filter(|p| p.0 == *name)
            .map(|p| format!("{:.1},{:.1}", x.at(p.1), y.at(p.2)))
            .collect();
        let colour = COLOURS[n % COLOURS.len()];
        let width = if name.starts_with("mmlog") { 3 } else { 1 };
        let points = of.join(" ");
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
        for at in of.iter().filter_map(|at| at.split_once(',')) {
            let _ = writeln!(svg, "<circle cx=\"{}\" cy=\"{}\" r=\"3\" fill=\"{colour}\"/>", at.0, at.1);
        }
        let key = TOP + 18.0 * n as f64;
        let _ = writeln!(svg, "<circle cx=\"690\" cy=\"{key}\" r=\"5\" fill=\"{colour}\"/>");
        text(svg, 702.0, key + 4.0, "start", name);
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}
