#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use arrow_array::Array;
use hardneg_core::batches::Batches;
use std::sync::atomic::{AtomicUsize, Ordering};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let names: Vec<&str> = a[4].split(',').collect();
    let rows = AtomicUsize::new(0);
    if a[1] == "ours" {
        let cols: Vec<_> = names.iter().map(|n| (n.to_string(), n.to_string())).collect();
        let input = hardneg_parquet::input::open(&[a[2].clone().into()], &cols, 65536).unwrap().unwrap();
        std::thread::scope(|s| {
            for _ in 0..a[3].parse::<usize>().unwrap() {
                s.spawn(|| {
                    while let Some(b) = input.next() {
                        rows.fetch_add(b.unwrap().num_rows(), Ordering::Relaxed);
                    }
                });
            }
        });
    } else {
        use arrow_schema::*;
        use parquet::arrow::arrow_reader::*;
        use parquet::arrow::*;
        let f = std::fs::File::open(&a[2]).unwrap();
        let m = ArrowReaderMetadata::load(&f, Default::default()).unwrap();
        let fields: Vec<_> = m
            .schema()
            .fields()
            .iter()
            .map(|f| {
                let t = match f.data_type() {
                    DataType::Utf8 => {
                        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
                    }
                    t => t.clone(),
                };
                Field::new(f.name(), t, f.is_nullable())
            })
            .collect();
        let schema = std::sync::Arc::new(Schema::new(fields));
        let m = ArrowReaderMetadata::load(&f, ArrowReaderOptions::new().with_schema(schema)).unwrap();
        for g in 0..m.metadata().num_row_groups() {
            let b = ParquetRecordBatchReaderBuilder::new_with_metadata(f.try_clone().unwrap(), m.clone());
            let mask = ProjectionMask::columns(b.parquet_schema(), names.iter().copied());
            let mut last = 0usize;
            let mut same = 0;
            for b in b.with_projection(mask).with_row_groups(vec![g]).with_batch_size(65536).build().unwrap()
            {
                let b = b.unwrap();
                if let Some(d) = arrow_array::cast::AsArray::as_any_dictionary_opt(b.column(0).as_ref()) {
                    let p = d.values().to_data().buffers()[1].as_ptr() as usize;
                    same += (p == last) as usize;
                    last = p;
                }
                rows.fetch_add(b.num_rows(), Ordering::Relaxed);
            }
            if g == 0 {
                println!("same {same}");
            }
        }
    }
    println!("{}", rows.into_inner());
}
