//! The busiest pod against the mean over time, as SVG.

use anyhow::{Context as _, Result};
use plotters::prelude::{
    BLACK, ChartBuilder, IntoDrawingArea as _, IntoFont as _, LineSeries, PathElement, RGBColor, SVGBackend, WHITE,
};
use simulation::Scenario;

use super::Row;

const SIZE: (u32, u32) = (900, 420);

/// Told apart by people who do not see all colours (Okabe and Ito), and as many as a comparison has lines; the first is
/// for what does nothing.
const COLOURS: [RGBColor; 9] = [
    RGBColor(150, 150, 150),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(240, 228, 66),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
];

/// Returns the picture.
pub(super) fn svg(scenario: &Scenario, rows: &[Row]) -> Result<String> {
    let mut picture = String::new();
    draw(&mut picture, scenario, rows).context("the plot could not be drawn")?;
    Ok(picture)
}

fn draw(picture: &mut String, scenario: &Scenario, rows: &[Row]) -> Result<()> {
    let highest = rows.iter().flat_map(|row| &row.figures.course).copied().fold(1.5, f64::max);
    let area = SVGBackend::with_string(picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("busiest pod / mean pod", ("sans-serif", 18).into_font())
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..scenario.duration.as_secs_f64(), 1.0..highest)?;
    chart.configure_mesh().x_desc("seconds").light_line_style(WHITE).draw()?;
    for (row, colour) in rows.iter().zip(COLOURS.iter().cycle()) {
        let points = (1u32..).map(f64::from).zip(row.figures.course.iter().copied());
        chart
            .draw_series(LineSeries::new(points, colour))?
            .label(row.policy.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    drop(chart);
    Ok(())
}
